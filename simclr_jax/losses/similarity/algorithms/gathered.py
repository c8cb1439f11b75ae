"""Each device's rows against the columns of all, gathered once.

The gathered columns are kept for the backward pass, which gathers only the shift and
the weights of each. Every device then has all it needs for the whole gradient of its
own rows: none is reduced across devices. Value and gradient take three products of
n^2 d in all, and each device holds n d numbers.
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
    """Returns the statistics of the rows, and the columns of all devices, [N m d]."""
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
    # Device by device: any other order of the rows would cost a second copy of them.
    return jax.lax.all_gather(x, types.DATA_AXIS, tiled=True)


def _gather_weights(block):
    """Gathers what the block has of weights and shifts by one collective."""
    found = {name: getattr(block, name) for name in _WEIGHTS}
    found = {name: x for name, x in found.items() if x is not None}
    if not found:
        return {}
    packed = jnp.stack([*found.values()])
    packed = jax.lax.all_gather(packed, types.DATA_AXIS, axis=1, tiled=True)
    return dict(zip(found, packed, strict=True))
