"""Each device's rows against the columns of all, gathered once.

The gathered columns are kept for the backward pass, which gathers only the shift and
the weight of each row. Every device then has all it needs for the whole gradient of its
own rows: none is reduced across devices. Value and gradient take three products of
n^2 d in all, and each device holds n d numbers.
"""

import jax
import jax.numpy as jnp

from simclr_jax.core import types
from simclr_jax.losses.similarity import one_sided, plans, tiles


def forward(
    rows: tiles.Block, plan: plans.Plan, distance_scale: jax.Array | None
) -> tuple[tiles.RowStatistics, tiles.Block]:
    """Returns the statistics of the rows, and the columns of all devices."""
    columns = _gather_columns(rows, plan)
    statistics = one_sided.row_statistics(
        rows,
        columns,
        bound=plan.bound,
        tile_rows=plan.tile_rows,
        distance_scale=distance_scale,
    )
    return statistics, columns


def backward(
    rows: tiles.WeightedBlock, plan: plans.Plan, columns: tiles.Block
) -> jax.Array:
    """Returns the gradient of the rows, [m d]."""
    return one_sided.row_gradient(
        rows,
        _gather_weights(rows, plan, columns),
        bound=plan.bound,
        tile_rows=plan.tile_rows,
    )


ALGORITHM = plans.Algorithm(forward, backward)


def _gather_columns(rows, plan):
    if plan.num_devices == 1:
        return rows
    # Device by device: any other order of the rows would cost a second copy of them.
    x = jax.lax.all_gather(rows.x, types.DATA_AXIS, tiled=True)
    first = plan.images_per_device * jnp.arange(plan.num_devices, dtype=jnp.int32)
    image = first[:, None] + (rows.image % plan.images_per_device)[None, :]
    return tiles.Block(x, image.reshape(-1))


def _gather_weights(rows, plan, columns):
    if plan.num_devices == 1:
        return rows
    packed = jnp.stack([rows.weight, rows.shift])
    weight, shift = jax.lax.all_gather(packed, types.DATA_AXIS, axis=1, tiled=True)
    return tiles.WeightedBlock(columns.x, columns.image, weight, shift)
