"""Algorithm that passes blocks of columns around a ring of devices.

Each device compares its rows with its own columns first, then with those of its
successors, one after the other; no device ever holds all columns. The transfer of the
next block overlaps with the computation on the current one. The backward pass sends the
columns once more, with their shifts and weights. Value and gradient take three products
of n^2 d in total, as in "gathered".
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

from simclr_jax.core import types
from simclr_jax.losses.similarity import one_sided, plans, statistics, tiles

T = TypeVar("T")
U = TypeVar("U")


def forward(
    rows: tiles.Block,
    columns: plans.Side,
    plan: plans.Plan,
    distance_scale: jax.Array | None,
) -> tuple[statistics.RowStatistics, None]:
    """Returns the statistics of the rows, and no residuals."""

    def compare(block: tiles.Block) -> statistics.RowStatistics:
        return one_sided.row_statistics(
            rows,
            block,
            bound=plan.bound,
            tile_rows=plan.tile_rows,
            distance_scale=distance_scale,
        )

    return _travel(compare, statistics.merge, columns.block, plan), None


def backward(
    rows: tiles.WeightedBlock, columns: plans.Side, plan: plans.Plan, kept: None
) -> jax.Array:
    """Returns the gradient of the rows, [m d]."""
    del kept

    def compare(block: tiles.WeightedBlock) -> jax.Array:
        return one_sided.row_gradient(
            rows, block, bound=plan.bound, tile_rows=plan.tile_rows
        )

    return _travel(compare, jnp.add, columns.block, plan)


ALGORITHM = plans.Algorithm(forward, backward)


def receive(block: T, plan: plans.Plan, *, offset: int) -> T:
    """Receives the block of the device that is ``offset`` places ahead in the ring."""
    devices = range(plan.num_devices)
    pairs = [((k + offset) % plan.num_devices, k) for k in devices]
    return jax.lax.ppermute(block, types.DATA_AXIS, pairs)


def _travel(
    compare: Callable[[T], U], merge: Callable[[U, U], U], own: T, plan: plans.Plan
) -> U:
    """Merges the results over the blocks of all devices, starting with its own."""

    def hop(carry: tuple[T, U], _: None) -> tuple[tuple[T, U], None]:
        block, found = carry
        # Independent of the result below, so transfer and computation can overlap.
        coming = receive(block, plan, offset=1)
        return (coming, merge(found, compare(block))), None

    start = receive(own, plan, offset=1), compare(own)
    (last, found), _ = jax.lax.scan(hop, start, length=plan.num_devices - 2)
    return merge(found, compare(last))
