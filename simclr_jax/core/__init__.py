"""Basics used by every package: types, checks, errors, keys, registry and sharding."""
