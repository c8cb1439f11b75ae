"""What an algorithm of the log-sum-exp is: two functions of one device's rows.

An algorithm says when a device meets which columns. Its functions run on each device of
the mesh, inside ``jax.shard_map``, or on the only one, and know nothing of the loss.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from simclr_jax.losses.similarity import tiles


class Plan(NamedTuple):
    """What is known before the first number: the same on all devices.

    Attributes:
      num_devices: N, along the axis "data".
      images_per_device: device k holds the images from k times this number.
      bound: a number that no ``|S|`` exceeds, at most ``tiles.LARGEST_BOUND``, or None.
      tile_rows: largest side of a tile.
    """

    num_devices: int
    images_per_device: int
    bound: float | None
    tile_rows: int


class Algorithm(NamedTuple):
    """One order in which rows meet columns.

    Attributes:
      forward: from this device's rows, [m], to their statistics over the rows of all
        devices, and whatever ``backward`` wants to find again.
      backward: from this device's rows, weighted, and what ``forward`` kept, to
        ``sum_j W_ij x_j`` over the rows j of all devices, [m d], W being that of
        ``tiles.weights``.
    """

    forward: Callable[
        [tiles.Block, Plan, jax.Array | None], tuple[tiles.RowStatistics, Any]
    ]
    backward: Callable[[tiles.WeightedBlock, Plan, Any], jax.Array]
