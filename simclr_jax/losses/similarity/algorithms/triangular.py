"""Rows against themselves, each pair once: a tile serves its rows and its columns.

On N devices in a ring, device i compares its rows with those of device i + s at offsets
s below N / 2 and what it finds for them travels on with them; the offset -s is the
mirrored one, and is computed by device i - s. At the offset N / 2 of an even ring both
devices of a pair compute the same tiles, each for its own rows. So value and gradient
take two products of n^2 d in place of three, (2 + 1 / N) n^2 d on an even ring, and
half the exponentials; no device ever holds all columns. In the backward pass gradients
travel too.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

from simclr_jax.losses.similarity import one_sided, plans, statistics, tiles, two_sided
from simclr_jax.losses.similarity.algorithms import ring

T = TypeVar("T")
U = TypeVar("U")


def forward(
    rows: tiles.Block,
    columns: plans.Side,
    plan: plans.Plan,
    distance_scale: jax.Array | None,
) -> tuple[statistics.RowStatistics, None]:
    """Returns the statistics of the rows; keeps nothing. The plan must have a bound."""
    del columns
    options = {
        "bound": plan.bound,
        "tile_rows": plan.tile_rows,
        "distance_scale": distance_scale,
    }
    found = _travel(
        lambda block: two_sided.statistics_of_both(rows, block, **options),
        lambda block: one_sided.row_statistics(rows, block, **options),
        statistics.merge,
        rows,
        two_sided.row_statistics(rows, **options),
        statistics.none(rows, distance_scale=distance_scale),
        plan,
    )
    return found, None


def backward(
    rows: tiles.WeightedBlock, columns: plans.Side, plan: plans.Plan, kept: None
) -> jax.Array:
    """Returns the gradient of the rows, [m d]. The plan must have a bound."""
    del columns, kept
    options = {"bound": plan.bound, "tile_rows": plan.tile_rows}
    return _travel(
        lambda block: two_sided.gradients_of_both(rows, block, **options),
        lambda block: one_sided.row_gradient(rows, block, **options),
        jnp.add,
        rows,
        two_sided.row_gradient(rows, **options),
        jnp.zeros_like(rows.x),
        plan,
    )


ALGORITHM = plans.Algorithm(forward, backward)


def _travel(
    compare_for_both: Callable[[T], tuple[U, U]],
    compare: Callable[[T], U],
    merge: Callable[[U, U], U],
    own: T,
    found: U,
    nothing: U,
    plan: plans.Plan,
) -> U:
    """Merges into what the own rows ``found`` among themselves that of all others.

    What is found for a block of other rows is ``mirrored``; it follows its block one
    hop behind, so that both are sent while the present block is computed with.
    """
    if plan.num_devices == 1:
        return found
    num_hops = (plan.num_devices - 1) // 2
    block = ring.receive(own, plan, offset=1)

    def hop(carry: tuple[T, U, U], _: None) -> tuple[tuple[T, U, U], None]:
        block, found, mirrored = carry
        coming, mirrored = ring.receive((block, mirrored), plan, offset=1)
        for_own, for_block = compare_for_both(block)
        return (coming, merge(found, for_own), merge(mirrored, for_block)), None

    if num_hops:
        (block, found, mirrored), _ = jax.lax.scan(
            hop, (block, found, nothing), length=num_hops
        )
        home = ring.receive(mirrored, plan, offset=-num_hops)
        found = merge(found, home)
    if plan.num_devices % 2 == 0:
        found = merge(found, compare(block))
    return found
