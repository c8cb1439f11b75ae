"""Algorithm that gathers the columns of all devices on every device.

The gathered columns are saved for the backward pass, which gathers only their shifts
and weights. Every device then computes the complete gradient of its own rows, without a
reduction across devices. Value and gradient take three products of n^2 d in total, and
each device holds n d numbers.
"""

import jax
import jax.numpy as jnp

from simclr_jax.core import types
from simclr_jax.losses.similarity import one_sided, plans, statistics, tiles

_WEIGHTS = ("weight", "shift", "positive_weight")


def forward(
    rows: tiles.Block,
    columns: plans.Side,
    plan: plans.Plan,
    distance_scale: jax.Array | None,
) -> tuple[statistics.RowStatistics, jax.Array]:
    """Returns the statistics of the rows, and the gathered columns [N m d]."""
    x = _gather(columns.block.x)
    found = one_sided.row_statistics(
        rows,
        tiles.Block(x, columns.ids, columns.labels),
        bound=plan.bound,
        tile_rows=plan.tile_rows,
        distance_scale=distance_scale,
    )
    return found, x


def backward(
    rows: tiles.WeightedBlock,
    columns: plans.Side,
    plan: plans.Plan,
    kept: jax.Array | None,
) -> jax.Array:
    """Returns the gradient of the rows, [m d]."""
    x = _gather(columns.block.x) if kept is None else kept
    weights = _gather_weights(columns.block)
    return one_sided.row_gradient(
        rows,
        tiles.WeightedBlock(x, columns.ids, columns.labels, **weights),
        bound=plan.bound,
        tile_rows=plan.tile_rows,
    )


ALGORITHM = plans.Algorithm(forward, backward)


def _gather(x):
    # In device order: any other order of the rows would need a second copy.
    return jax.lax.all_gather(x, types.DATA_AXIS, tiled=True)


def _gather_weights(block):
    """Gathers the weights and shifts of the block with a single collective."""
    found = {name: getattr(block, name) for name in _WEIGHTS}
    found = {name: x for name, x in found.items() if x is not None}
    if not found:
        return {}
    packed = jnp.stack([*found.values()])
    packed = jax.lax.all_gather(packed, types.DATA_AXIS, axis=1, tiled=True)
    return dict(zip(found, packed, strict=True))
