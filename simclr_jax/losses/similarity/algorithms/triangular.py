"""Algorithm that computes each pair of rows once, for both rows of the pair.

On a ring of N devices, device i compares its rows with those of device i + s for
offsets 0 < s < N / 2. The results for the remote rows are passed along with them and
finally returned to their device. Offset -s needs no work: it is offset s of device
i - s. At offset N / 2 of an even ring both devices of a pair compute the same tiles,
each for its own rows. Value and gradient take two products of n^2 d instead of three
((2 + 1 / N) n^2 d on an even ring) and half the exponentials, and no device ever holds
all columns. The backward pass sends gradients as well.
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
    """Returns the statistics of the rows, no residuals. The plan must have a bound."""
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
    """Merges the results over all other devices' rows into ``found``.

    ``found`` are the results of this device's rows over themselves, ``mirrored`` the
    results for a block of remote rows. ``mirrored`` is sent one hop after its block, so
    that both transfers overlap with the computation on the current block.
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
