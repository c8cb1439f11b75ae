"""Recipes: one file each, with paper, command, cost and expected number."""
