"""What an algorithm of the similarity engine is: functions of one device's rows.

An algorithm says when a device compares its rows with which columns. Its functions run
on each device of the mesh, inside ``jax.shard_map``, or on the only one, and know
nothing of the loss.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from simclr_jax.losses.similarity import statistics, tiles


class Plan(NamedTuple):
    """What is known before the first number: the same on all devices.

    Attributes:
      num_devices: N, along the axis "data".
      bound: a number that no ``|S|`` exceeds, at most ``tiles.LARGEST_BOUND``, or None.
      tile_rows: largest side of a tile.
    """

    num_devices: int
    bound: float | None
    tile_rows: int


class Side(NamedTuple):
    """The rows or the columns, as one device sees them.

    Attributes:
      block: those that this device holds, [m].
      ids: of those of all devices, device by device, [N m] int32.
      labels: likewise; None without labels.
    """

    block: Any
    ids: jax.Array
    labels: jax.Array | None


class Algorithm(NamedTuple):
    """One order in which rows are compared with columns.

    Attributes:
      forward: from this device's rows and the columns to the statistics of the rows
        over the columns of all devices, and whatever ``backward`` wants to find again.
      backward: from this device's rows, weighted, the columns, weighted, and what
        ``forward`` kept for them or None, to ``sum_j W_ij y_j`` over the columns j of
        all devices, [m d], W being that of ``tiles.weights``.
      forward_of_both: as ``forward``, with the statistics of this device's columns over
        the rows of all devices, in one sweep; None: ``forward`` is called twice.
      backward_of_both: as ``backward``, with ``sum_i W_ij x_i`` for this device's
        columns, in one sweep; keeps nothing.
    """

    forward: Callable[
        [tiles.Block, Side, Plan, jax.Array | None],
        tuple[statistics.RowStatistics, Any],
    ]
    backward: Callable[[tiles.WeightedBlock, Side, Plan, Any], jax.Array]
    forward_of_both: Callable[..., Any] | None = None
    backward_of_both: Callable[..., Any] | None = None
