"""Algorithms of the similarity engine, one module each, and the choice among them."""

from simclr_jax.losses.similarity.algorithms.choice import (
    ALGORITHMS,
    TILE_ROWS,
    choose,
    tile_rows,
)

__all__ = ["ALGORITHMS", "TILE_ROWS", "choose", "tile_rows"]
