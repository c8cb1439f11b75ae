"""Each device's rows against columns that it holds already.

These are all columns on one device, and columns that every device has, such as a queue
of negatives. Nothing is exchanged. Value and gradient of the rows take three products
of n m d.
"""

import jax

from simclr_jax.losses.similarity import one_sided, plans, statistics, tiles


def forward(
    rows: tiles.Block,
    columns: plans.Side,
    plan: plans.Plan,
    distance_scale: jax.Array | None,
) -> tuple[statistics.RowStatistics, None]:
    """Returns the statistics of the rows; keeps nothing."""
    found = one_sided.row_statistics(
        rows,
        columns.block,
        bound=plan.bound,
        tile_rows=plan.tile_rows,
        distance_scale=distance_scale,
    )
    return found, None


def backward(
    rows: tiles.WeightedBlock, columns: plans.Side, plan: plans.Plan, kept: None
) -> jax.Array:
    """Returns the gradient of the rows, [m d]."""
    del kept
    return one_sided.row_gradient(
        rows, columns.block, bound=plan.bound, tile_rows=plan.tile_rows
    )


ALGORITHM = plans.Algorithm(forward, backward)
