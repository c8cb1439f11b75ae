"""Algorithms of the similarity engine, one per module, and how one is chosen."""

from simclr_jax.losses.similarity.algorithms.choice import (
    ALGORITHMS,
    TILE_ROWS,
    choose,
    tile_rows,
)

__all__ = ["ALGORITHMS", "TILE_ROWS", "choose", "tile_rows"]
