"""Algorithm for columns that the device already holds, without communication.

Used on a single device and for replicated columns, such as a queue of negatives. Value
and gradient of the rows take three products of n m d.
"""

import jax

from simclr_jax.losses.similarity import one_sided, plans, statistics, tiles


def forward(
    rows: tiles.Block,
    columns: plans.Side,
    plan: plans.Plan,
    distance_scale: jax.Array | None,
) -> tuple[statistics.RowStatistics, None]:
    """Returns the statistics of the rows, and no residuals."""
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
