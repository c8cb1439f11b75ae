"""The algorithms by name, and which of them, in which tiles, serves a batch best.

With n rows of width d on N devices, for value and gradient of rows against themselves:

==========  ==================  =====================  ====================
algorithm   products of n^2 d,  rows sent by a device  rows of others on a
            over all devices    forward and backward   device
==========  ==================  =====================  ====================
gathered    3                   n, 0                   n
ring        3                   n, n                   2 n / N
triangular  2 (+ 1/N, N even)   n / 2, n               2 n / N
==========  ==================  =====================  ====================

Rows against other columns, for the gradients of both, take five products (one
direction) or six (both directions); triangular takes four for both directions, with
n and 3 n rows sent.

Where each device holds all columns (one device, or columns that are not divided)
nothing is sent, and the first two are the same, ``local``.

On eight fake devices that share two cores, 16,384 rows of width 128, triangular takes
0.80 of the time of gathered and ring 1.06 (``benchmarks/ntxent.py``, jax 0.10.2): that
counts the work and says nothing of a network. "auto" still gathers on several devices:
one collective in the forward pass, against N / 2 hops in each pass, with gradients on
the way. Reasoned, not measured.
"""

from collections.abc import Callable

import jax

from simclr_jax.core import registry
from simclr_jax.losses.similarity import plans
from simclr_jax.losses.similarity.algorithms import (
    gathered,
    local,
    mutual,
    one_tile,
    ring,
    triangular,
)

LARGEST_GATHERED_BYTES = 256 * 2**20
"""Columns of at most this size are gathered under "auto": 524,288 rows of width 128, a
sixtieth of an accelerator of 16 GB. Below it the one collective that serves both passes
beats N - 1 hops in each, every one of which waits for the slowest device. Reasoned, not
measured."""

TILE_ROWS = {"cpu": 1024, "gpu": 2048, "tpu": 2048}
"""Largest side of a tile by platform; on platforms not listed as on a GPU.

cpu: 4 MB, which stays in the cache while products run at full speed. Measured against
512 and 2,048 on two cores: within 5% at 16,384 rows.
gpu, tpu: 16 MB, which fits the second-level cache of a GPU (40 MB and more) and is a
thousandth of a TPU's memory; a product of width 128 is 1 GFLOP, enough to hide the
launch of a kernel behind. Reasoned, not measured."""


def choose(
    name: str,
    plan: plans.Plan,
    *,
    num_rows: int,
    row_bytes: int,
    is_symmetric: bool = True,
) -> plans.Algorithm:
    """Returns the algorithm of that name, or the one that takes its place.

    Args:
      name: a key of ``ALGORITHMS``.
      plan: what is known of the devices that divide the columns, and of the logits.
      num_rows: columns on each device.
      row_bytes: bytes of one column.
      is_symmetric: whether the rows are compared with themselves.

    Raises:
      UserError: if the name is unknown.
    """
    chosen = registry.lookup("algorithm", name, ALGORITHMS)
    if is_symmetric and plan.num_devices == 1 and num_rows <= plan.tile_rows:
        return one_tile.ALGORITHM
    return chosen(plan, plan.num_devices * num_rows * row_bytes, is_symmetric)


def tile_rows(mesh: jax.sharding.Mesh | None) -> int:
    """Returns the side of a tile on the mesh's devices, attached or only described."""
    platform = jax.default_backend() if mesh is None else mesh.devices.flat[0].platform
    return TILE_ROWS.get(platform, TILE_ROWS["gpu"])


def _auto(plan, gathered_bytes, is_symmetric):
    if plan.num_devices == 1:
        return _triangular(plan, gathered_bytes, is_symmetric)
    is_small = gathered_bytes <= LARGEST_GATHERED_BYTES
    return gathered.ALGORITHM if is_small else ring.ALGORITHM


def _gathered(plan, gathered_bytes, is_symmetric):
    del gathered_bytes, is_symmetric
    return local.ALGORITHM if plan.num_devices == 1 else gathered.ALGORITHM


def _ring(plan, gathered_bytes, is_symmetric):
    del gathered_bytes, is_symmetric
    return local.ALGORITHM if plan.num_devices == 1 else ring.ALGORITHM


def _triangular(plan, gathered_bytes, is_symmetric):
    one_sided = _ring(plan, gathered_bytes, is_symmetric)
    if plan.bound is None:
        return one_sided
    if is_symmetric:
        return triangular.ALGORITHM
    return one_sided._replace(
        forward_of_both=mutual.forward_of_both,
        backward_of_both=mutual.backward_of_both,
    )


ALGORITHMS: dict[str, Callable[[plans.Plan, int, bool], plans.Algorithm]] = {
    "auto": _auto,
    "gathered": _gathered,
    "ring": _ring,
    "triangular": _triangular,
}
"""By name: from the plan, the bytes of all columns and whether rows are compared with
themselves to the algorithm that is run.

* auto: on one device triangular; on several gathered while all columns take at most
  ``LARGEST_GATHERED_BYTES``, ring beyond.
* gathered: each device's rows against the columns of all.
* ring: the columns travel round the devices, none ever holds them all.
* triangular: as ring, but each pair once, for both of its sides. Where no usable bound
  on the logits is known a tile cannot serve both sides, and this is ring.
"""
