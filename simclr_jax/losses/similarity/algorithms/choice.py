"""Registry of the algorithms by name, the choice of "auto", and the tile size.

Cost of value and gradient of rows compared with themselves, n rows of width d on N
devices:

==========  ==================  =====================  ====================
algorithm   products of n^2 d,  rows sent per device,  remote rows held
            all devices         forward, backward      per device
==========  ==================  =====================  ====================
gathered    3                   n, 0                   n
ring        3                   n, n                   2 n / N
triangular  2 (+ 1/N, N even)   n / 2, n               2 n / N
==========  ==================  =====================  ====================

For rows compared with other columns, with gradients of both, there are five products
(one direction) or six (both directions); triangular takes four for both directions and
sends n and 3 n rows.

If each device holds all columns (one device, or replicated columns), nothing is sent
and gathered and ring are the same algorithm, ``local``.

On eight fake devices that share two cores, 16,384 rows of width 128, triangular takes
0.80 of the time of gathered and ring 1.06 (``benchmarks/ntxent.py``, jax 0.10.2). This
measures arithmetic, not a network. On several devices "auto" prefers gathered, which
needs one collective in the forward pass, where triangular needs N / 2 in each pass.
That preference is an estimate, not a measurement.
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
"""Largest total size of the columns for which "auto" chooses gathered: 524,288 rows of
width 128, a sixtieth of the memory of a 16 GB accelerator. Below this size, one
collective for both passes should be faster than N - 1 hops in each pass, as every hop
waits for the slowest device. An estimate, not a measurement."""

TILE_ROWS = {"cpu": 1024, "gpu": 2048, "tpu": 2048}
"""Largest side of a tile by platform; other platforms use the value of "gpu".

cpu: a tile takes 4 MB, which stays in the cache while products run at full speed.
Measured on two cores at 16,384 rows: 512 and 2,048 are within 5%.
gpu, tpu: a tile takes 16 MB, which fits in the L2 cache of a GPU (40 MB and more) and
is a thousandth of a TPU's memory; a product of width 128 takes 1 GFLOP, enough to hide
the launch latency of a kernel. An estimate, not a measurement."""


def choose(
    name: str,
    plan: plans.Plan,
    *,
    num_rows: int,
    row_bytes: int,
    is_symmetric: bool = True,
) -> plans.Algorithm:
    """Returns the algorithm of a name, or a cheaper equivalent for this input.

    Args:
      name: a key of ``ALGORITHMS``.
      plan: number of devices that hold the columns, bound on the logits, tile size.
      num_rows: columns on each device.
      row_bytes: size of one column in bytes.
      is_symmetric: whether the rows are compared with themselves.

    Raises:
      UserError: if the name is unknown.
    """
    chosen = registry.lookup("algorithm", name, ALGORITHMS)
    if is_symmetric and plan.num_devices == 1 and num_rows <= plan.tile_rows:
        return one_tile.ALGORITHM
    return chosen(plan, plan.num_devices * num_rows * row_bytes, is_symmetric)


def tile_rows(mesh: jax.sharding.Mesh | None) -> int:
    """Returns the largest side of a tile for the platform of ``mesh``."""
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
"""Algorithms that exchange embeddings between devices; they do not affect results.

Each value maps the plan, the total size of the columns in bytes, and whether rows are
compared with themselves to the ``plans.Algorithm`` to run.

* auto: on one device triangular; on several devices gathered if all columns take at
  most ``LARGEST_GATHERED_BYTES``, else ring.
* gathered: each device gathers the columns of all devices.
* ring: blocks of columns are passed around the devices; no device ever holds all.
* triangular: like ring, but each pair of rows is computed once. Without a usable bound
  on the logits this is impossible, and ring is used.
"""
