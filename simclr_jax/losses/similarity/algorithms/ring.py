"""Blocks of columns that travel round the devices: none ever holds all columns.

Each device compares its rows with its own columns first, then with those of its
successors, one after the other. The next block is sent while the present one is
computed with. The backward pass travels once more, each column with its shift and
weights. Value and gradient take three products of n^2 d in all, as if the columns were
gathered.
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
    """Returns the statistics of the rows; keeps nothing."""

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
    """Returns the block of the device that is ``offset`` places on in the ring."""
    devices = range(plan.num_devices)
    pairs = [((k + offset) % plan.num_devices, k) for k in devices]
    return jax.lax.ppermute(block, types.DATA_AXIS, pairs)


def _travel(
    compare: Callable[[T], U], merge: Callable[[U, U], U], own: T, plan: plans.Plan
) -> U:
    """Merges what is found in the blocks of all devices, the own one first."""

    def hop(carry: tuple[T, U], _: None) -> tuple[tuple[T, U], None]:
        block, found = carry
        # Does not wait for what is found here, so both can go on at once.
        coming = receive(block, plan, offset=1)
        return (coming, merge(found, compare(block))), None

    start = receive(own, plan, offset=1), compare(own)
    (last, found), _ = jax.lax.scan(hop, start, length=plan.num_devices - 2)
    return merge(found, compare(last))
