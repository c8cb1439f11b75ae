"""Algorithm for rows that fit in one tile, which is saved for the backward pass.

If all rows fit in one tile, the tile is saved instead of recomputed. Used for rows
compared with themselves on one device. Value and gradient take two products of n^2 d
instead of three, with or without a bound.
"""

import jax

from simclr_jax.losses.similarity import plans, statistics, tiles


def forward(
    rows: tiles.Block,
    columns: plans.Side,
    plan: plans.Plan,
    distance_scale: jax.Array | None,
) -> tuple[statistics.RowStatistics, tiles.Tile]:
    """Returns the statistics of the rows, and the tile as residual."""
    del columns
    tile = tiles.compute(rows, rows, plan.bound)
    (found,) = statistics.read(tile, rows, rows, distance_scale=distance_scale)
    return found, tile


def backward(
    rows: tiles.WeightedBlock,
    columns: plans.Side,
    plan: plans.Plan,
    tile: tiles.Tile,
) -> jax.Array:
    """Returns the gradient of the rows, [m d]."""
    del columns
    return tiles.matmul(tiles.weights(tile, rows, rows, plan.bound), rows.x)


ALGORITHM = plans.Algorithm(forward, backward)
