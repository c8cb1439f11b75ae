"""The way of a batch to the devices: gathered there, or streamed from the host.

A set that fits is decoded once and kept on every device; a batch is then gathered by
its image numbers, a few hundred bytes from the host. A larger set is read ahead
(``loading``), each process its own part of every global batch. Both give the same
batches.
"""

import dataclasses
import functools
from collections.abc import Generator

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from simclr_jax.core import types
from simclr_jax.data import bad_images, decoded, loading, memory, sources
from simclr_jax.data.order import BatchOrder, ProcessRows

RESIDENT_BYTES = 1 << 30
"""Largest decoded set that is kept on the devices by default."""

Batch = dict[str, jax.Array | types.Canvas]


@dataclasses.dataclass(frozen=True, eq=False)
class Batches:
    """The batches of a run, each a function of (seed, step).

    Attributes:
      images: the records.
      order: which records are in which batch.
      mesh: the devices; a batch is split over its axis ``data``.
      resident_bytes: largest decoded set that is kept on the devices.
      num_workers: processes that read and decode when the set is streamed; 0: threads
        of this process.
      num_threads: threads that do so if there are no workers.
    """

    images: decoded.Decoded
    order: BatchOrder
    mesh: jax.sharding.Mesh
    resident_bytes: int = RESIDENT_BYTES
    num_workers: int = 0
    num_threads: int = 16

    @property
    def is_decoded_once(self) -> bool:
        """Whether the whole set is kept decoded."""
        return memory.num_decoded_bytes(self.images) <= self.resident_bytes

    @property
    def is_resident(self) -> bool:
        """Whether the whole set is kept on the devices."""
        # The devices of a CPU share one memory, in which each has its own copy.
        local = [
            d for d in self.mesh.devices.flat if d.process_index == jax.process_index()
        ]
        num_copies = sum(device.platform == "cpu" for device in local) or 1
        num_bytes = memory.num_decoded_bytes(self.images)
        return num_bytes * num_copies <= self.resident_bytes

    @functools.cached_property
    def bad_images(self) -> bad_images.BadImages:
        """What is known of the images that could not be read."""
        return bad_images.BadImages(self.images)

    @property
    def _local_order(self) -> ProcessRows:
        # Asked here and not where the rows are read: a worker process knows no other.
        return ProcessRows(self.order, jax.process_index(), jax.process_count())

    def start_at(self, step: int) -> Generator[Batch, None, None]:
        """Yields the batches ``step``, ``step + 1``, ... to the end of the run.

        Args:
          step: number of the first batch, from 0.

        Yields:
          ``{"image": uint8 [b h w c]}``, split over the devices; a ``types.Canvas``
          where the images have many sizes.
        """
        return self._gathered(step) if self.is_resident else self._streamed(step)

    def _gathered(self, step: int) -> Generator[Batch, None, None]:
        images, sizes, shown = self._resident
        rows = NamedSharding(self.mesh, PartitionSpec(types.DATA_AXIS))
        for number in range(step, len(self.order)):
            asked = self._local_order[number]
            if shown is not None:
                self.bad_images.note(asked, shown[asked], [])
            chosen = _place(asked, rows)
            pixels = _gather(images, chosen, sharding=rows)
            if sizes is None:
                yield {"image": pixels}
            else:
                yield {"image": types.Canvas(pixels, _gather(sizes, chosen, rows))}

    def _streamed(self, step: int) -> Generator[Batch, None, None]:
        rows = NamedSharding(self.mesh, PartitionSpec(types.DATA_AXIS))
        batches = loading.load(
            self.images,
            self._local_order,
            start=step,
            num_workers=self.num_workers,
            num_threads=self.num_threads,
        )
        for number, samples in enumerate(batches, step):
            reasons = decoded.unpack_reasons(samples["reasons"])
            self.bad_images.note(self._local_order[number], samples["shown"], reasons)
            is_canvas = self.images.is_canvas
            yield {"image": to_devices(samples, is_canvas=is_canvas, sharding=rows)}

    @functools.cached_property
    def _resident(self) -> tuple[jax.Array, jax.Array | None, np.ndarray | None]:
        everywhere = NamedSharding(self.mesh, PartitionSpec())
        place = functools.partial(_place, sharding=everywhere)
        images = memory.read_all(self.images)
        sizes = None if images.sizes is None else place(np.asarray(images.sizes))
        return place(np.ascontiguousarray(images.images)), sizes, images.shown


def to_devices(
    samples: sources.Samples,
    *,
    is_canvas: bool,
    sharding: NamedSharding | None = None,
) -> types.StoredImages | types.Canvas:
    """Moves decoded samples to the devices.

    Args:
      samples: of this process, if there are several.
      is_canvas: whether the images have many sizes, as ``Decoded`` says.
      sharding: how the rows are split over devices; None: the default device.

    Returns:
      The images, uint8 [b h w c], as a ``types.Canvas`` where they have many sizes.
    """
    pixels = _place(samples["images"], sharding)
    if not is_canvas:
        return pixels
    return types.Canvas(pixels, _place(samples["sizes"], sharding))


def _place(array: np.ndarray, sharding: NamedSharding | None) -> jax.Array:
    """Moves this process's part of an array to its devices, which is meant."""
    if sharding is None:
        return jax.device_put(array)
    # JAX takes it for an accident where there are several processes.
    with jax.transfer_guard("allow"):
        return jax.make_array_from_process_local_data(sharding, array)


@functools.partial(jax.jit, static_argnames="sharding")
def _gather(
    images: jax.Array, numbers: jax.Array, sharding: NamedSharding
) -> jax.Array:
    chosen = images.at[numbers].get(mode="promise_in_bounds")
    return jax.lax.with_sharding_constraint(chosen, sharding)
