"""The way of a batch to the devices: gathered there, or streamed from the host.

A set that fits is decoded once and kept on every device; a batch is then gathered by
its image numbers, a few hundred bytes from the host. A larger set is read by a grain
pipeline, each process its own part of every global batch. Both give the same batches.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import Any, cast

import grain
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from simclr_jax.core import types
from simclr_jax.data import sources
from simclr_jax.data.order import BatchOrder

RESIDENT_BYTES = 1 << 30
"""Largest decoded set that is kept on the devices by default."""

Batch = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True, eq=False)
class Batches:
    """The batches of a run, each a function of (seed, step).

    Attributes:
      source: the records.
      order: which records are in which batch.
      mesh: the devices; a batch is split over its axis ``data``.
      resident_bytes: largest decoded set that is kept on the devices.
      num_threads: threads that read and decode when the set is streamed.
    """

    source: sources.Source
    order: BatchOrder
    mesh: jax.sharding.Mesh
    resident_bytes: int = RESIDENT_BYTES
    num_threads: int = 16

    @property
    def is_resident(self) -> bool:
        """Whether the whole set is kept on the devices."""
        shape = self.source.image_shape
        if shape is None:
            return False
        return len(self.source) * math.prod(shape) <= self.resident_bytes

    def start_at(self, step: int) -> Iterator[Batch]:
        """Yields the batches ``step``, ``step + 1``, ... to the end of the run.

        Args:
          step: number of the first batch, from 0.

        Yields:
          ``{"image": uint8 [b h w c]}``, split over the devices.
        """
        numbers: Any = grain.MapDataset.source(cast(Any, self.order))[step:]
        if self.is_resident:
            return self._gathered(numbers)
        return self._streamed(numbers)

    def _gathered(self, numbers: Any) -> Iterator[Batch]:
        images = self._resident_images
        rows = NamedSharding(self.mesh, PartitionSpec("data"))
        for index in range(len(numbers)):
            chosen = jax.make_array_from_process_local_data(
                rows, _rows_of_this_process(numbers[index])
            )
            yield {"image": _gather(images, chosen, sharding=rows)}

    def _streamed(self, numbers: Any) -> Iterator[Batch]:
        rows = NamedSharding(self.mesh, PartitionSpec("data"))
        local = numbers.map(functools.partial(_read_rows, self.source))
        options = grain.ReadOptions(
            num_threads=self.num_threads, prefetch_buffer_size=self.num_threads
        )
        for images in local.to_iter_dataset(options):
            yield {"image": jax.make_array_from_process_local_data(rows, images)}

    @functools.cached_property
    def _resident_images(self) -> types.StoredImages:
        everywhere = NamedSharding(self.mesh, PartitionSpec())
        images = sources.read_all(self.source).images
        return jax.make_array_from_process_local_data(everywhere, images)


@functools.partial(jax.jit, static_argnames="sharding")
def _gather(
    images: jax.Array, numbers: jax.Array, *, sharding: NamedSharding
) -> jax.Array:
    chosen = images.at[numbers].get(mode="promise_in_bounds")
    return jax.lax.with_sharding_constraint(chosen, sharding)


def _rows_of_this_process(numbers: np.ndarray) -> np.ndarray:
    """The contiguous part of a global batch that this process feeds to its devices."""
    per_process = len(numbers) // jax.process_count()
    start = jax.process_index() * per_process
    return numbers[start : start + per_process]


def _read_rows(source: sources.Source, numbers: np.ndarray) -> np.ndarray:
    rows = _rows_of_this_process(numbers)
    return np.stack([record["image"] for record in source.__getitems__(rows)])
