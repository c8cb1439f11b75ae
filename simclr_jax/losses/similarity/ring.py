"""Blocks of rows that travel round the devices: none ever holds all columns.

Each device meets its own rows first, then those of its successors, one after the other.
The next block is sent while the present one is computed with. The backward pass travels
once more, each row with its shift and weight. Value and gradient take three products of
n^2 d in all, as if the columns were gathered.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

from simclr_jax.core import types
from simclr_jax.losses.similarity import one_sided, plans, tiles

T = TypeVar("T")
U = TypeVar("U")


def forward(
    rows: tiles.Block, plan: plans.Plan, distance_scale: jax.Array | None
) -> tuple[tiles.RowStatistics, None]:
    """Returns the statistics of the rows; keeps nothing."""

    def meet(columns: tiles.Block) -> tiles.RowStatistics:
        return one_sided.row_statistics(
            rows,
            columns,
            bound=plan.bound,
            tile_rows=plan.tile_rows,
            distance_scale=distance_scale,
        )

    return _travel(meet, tiles.merge, rows, plan), None


def backward(rows: tiles.WeightedBlock, plan: plans.Plan, kept: None) -> jax.Array:
    """Returns the gradient of the rows, [m d]."""
    del kept

    def meet(columns: tiles.WeightedBlock) -> jax.Array:
        return one_sided.row_gradient(
            rows, columns, bound=plan.bound, tile_rows=plan.tile_rows
        )

    return _travel(meet, jnp.add, rows, plan)


ALGORITHM = plans.Algorithm(forward, backward)


def receive(block: T, plan: plans.Plan, *, offset: int) -> T:
    """Returns the block of the device that is ``offset`` places on in the ring."""
    devices = range(plan.num_devices)
    pairs = [((k + offset) % plan.num_devices, k) for k in devices]
    return jax.lax.ppermute(block, types.DATA_AXIS, pairs)


def _travel(
    meet: Callable[[T], U], merge: Callable[[U, U], U], own: T, plan: plans.Plan
) -> U:
    """Merges what is found on meeting the blocks of all devices, the own one first."""
    if plan.num_devices == 1:
        return meet(own)

    def hop(carry: tuple[T, U], _: None) -> tuple[tuple[T, U], None]:
        block, found = carry
        # Does not wait for what is found here, so both can go on at once.
        coming = receive(block, plan, offset=1)
        return (coming, merge(found, meet(block))), None

    start = receive(own, plan, offset=1), meet(own)
    (last, found), _ = jax.lax.scan(hop, start, length=plan.num_devices - 2)
    return merge(found, meet(last))
