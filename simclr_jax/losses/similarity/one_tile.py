"""Rows that fit in one tile: it is kept, and the backward pass has it for nothing.

Value and gradient take two products of n^2 d in place of three, without a bound too.
"""

import jax

from simclr_jax.losses.similarity import plans, tiles


def forward(
    rows: tiles.Block, plan: plans.Plan, distance_scale: jax.Array | None
) -> tuple[tiles.RowStatistics, tiles.Tile]:
    """Returns the statistics of the rows, and the tile."""
    tile = tiles.compute(rows, rows, plan.bound)
    (statistics,) = tiles.read(tile, rows, rows, distance_scale=distance_scale)
    return statistics, tile


def backward(
    rows: tiles.WeightedBlock, plan: plans.Plan, tile: tiles.Tile
) -> jax.Array:
    """Returns the gradient of the rows, [m d]."""
    return tiles.matmul(tiles.weights(tile, rows, rows, plan.bound), rows.x)


ALGORITHM = plans.Algorithm(forward, backward)
