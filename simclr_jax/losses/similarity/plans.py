"""Interface of the similarity engine's algorithms.

An algorithm decides in which order a device compares its rows with the columns of all
devices. Its functions run on each device of the mesh, inside ``jax.shard_map``, or on
the only device, and do not depend on the loss.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from simclr_jax.losses.similarity import statistics, tiles


class Plan(NamedTuple):
    """Static parameters of an algorithm, equal on all devices.

    Attributes:
      num_devices: N, the size of the mesh axis "data".
      bound: upper bound on ``|S|``, at most ``tiles.LARGEST_BOUND``, or None.
      tile_rows: largest side of a tile.
    """

    num_devices: int
    bound: float | None
    tile_rows: int


class Side(NamedTuple):
    """The rows or the columns, from the perspective of one device.

    Attributes:
      block: the m rows or columns held by this device.
      ids: ids of the rows or columns of all devices, in device order, [N m] int32.
      labels: labels in the same order; None without labels.
    """

    block: Any
    ids: jax.Array
    labels: jax.Array | None


class Algorithm(NamedTuple):
    """Functions that compare one device's rows with the columns of all devices.

    Attributes:
      forward: maps this device's rows and the columns to the statistics of the rows
        over the columns of all devices, and residuals for ``backward``.
      backward: maps this device's weighted rows, the weighted columns, and the
        residuals of ``forward`` (or None) to ``sum_j W_ij y_j`` over the columns j of
        all devices, [m d], with W of ``tiles.weights``.
      forward_of_both: like ``forward``, and in the same pass also returns the
        statistics of this device's columns over the rows of all devices. If None,
        ``forward`` is called twice.
      backward_of_both: like ``backward``, and in the same pass also returns
        ``sum_i W_ij x_i`` for this device's columns. Takes no residuals.
    """

    forward: Callable[
        [tiles.Block, Side, Plan, jax.Array | None],
        tuple[statistics.RowStatistics, Any],
    ]
    backward: Callable[[tiles.WeightedBlock, Side, Plan, Any], jax.Array]
    forward_of_both: Callable[..., Any] | None = None
    backward_of_both: Callable[..., Any] | None = None
