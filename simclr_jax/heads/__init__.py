"""Heads: what stands between the features h and the loss."""

from simclr_jax.heads.projection import ProjectionHead

__all__ = ["ProjectionHead"]
