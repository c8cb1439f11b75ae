"""The way of a batch to the devices: gathered there, or streamed from the host.

A set that fits is decoded once and kept on every device; a batch is then gathered by
its image numbers, a few hundred bytes from the host. A larger set is read ahead
(``prefetch``), each process its own part of every global batch. Both give the same
batches.
"""

import dataclasses
import functools
from collections.abc import Generator, Iterable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from simclr_jax.core import errors, types
from simclr_jax.core import sharding as shardings
from simclr_jax.data import cache, dataset, prefetch, record_fields
from simclr_jax.data.sampler import BatchOrder, ProcessRows
from simclr_jax.data.sources import base as sources

RESIDENT_BYTES = 1 << 30
"""Largest decoded set that is kept on the devices by default."""


@dataclasses.dataclass(frozen=True, eq=False)
class Batches:
    """The batches of a run, each a function of (seed, step).

    A batch is a dict of the fields that are named, however the records reach the
    devices; ``spec`` describes it.

    Attributes:
      images: the records.
      order: which records are in which batch.
      mesh: the devices; a batch is split over its axis ``data``.
      resident_bytes: largest decoded set that is kept on the devices.
      num_workers: processes that read and decode when the set is streamed; 0: threads
        of this process.
      num_threads: threads that do so if there are no workers.
      fields: what a batch holds: ``image``, ``label``, or any other field of the
        records.

    Raises:
      DataError: if the records have no field of a name.
    """

    images: dataset.Dataset
    order: BatchOrder
    mesh: jax.sharding.Mesh
    resident_bytes: int = RESIDENT_BYTES
    num_workers: int = 0
    num_threads: int = 16
    _: dataclasses.KW_ONLY
    fields: tuple[str, ...] = (record_fields.IMAGE,)

    def __post_init__(self):
        record_fields.check_fields(self.images, self.fields)

    @property
    def spec(self) -> types.BatchSpec:
        """What a global batch holds, without its axis ``b``."""
        return batch_spec(
            self.fields,
            image_shape=self.images.image_shape,
            is_padded=self.images.is_padded,
            extra=record_fields.extra_fields(self.images),
        )

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What must be equal for a run to go on: the data and what is read of it."""
        digests = record_fields.digests_of(self.images, self.fields)
        return {
            "name": self.images.name,
            "num_images": len(self.images),
            "image_shape": list(self.images.image_shape),
        } | ({"fields": digests} if digests else {})

    @property
    def is_decoded_once(self) -> bool:
        """Whether the whole set is kept decoded."""
        return cache.num_decoded_bytes(self.images) <= self.resident_bytes

    @property
    def is_resident(self) -> bool:
        """Whether the whole set is kept on the devices."""
        # The devices of a CPU share one memory, in which each has its own copy.
        local = [
            d for d in self.mesh.devices.flat if d.process_index == jax.process_index()
        ]
        num_copies = sum(device.platform == "cpu" for device in local) or 1
        num_bytes = cache.num_decoded_bytes(self.images)
        return num_bytes * num_copies <= self.resident_bytes

    @functools.cached_property
    def corrupt_images(self) -> dataset.CorruptImages:
        """What is known of the images that could not be read."""
        return dataset.CorruptImages(self.images)

    @property
    def _local_order(self) -> ProcessRows:
        # Computed here, since a worker process does not know the other processes.
        return ProcessRows(self.order, jax.process_index(), jax.process_count())

    def start_at(self, step: int) -> Generator[types.Batch, None, None]:
        """Yields the batches ``step``, ``step + 1``, ... to the end of the run.

        Args:
          step: number of the first batch, from 0.

        Yields:
          The named fields, split over the devices: ``image`` is uint8 [b h w c], or
          ``types.PaddedImages`` where the images have many sizes; ``label`` is int32
          [b].
        """
        return self._gathered(step) if self.is_resident else self._streamed(step)

    def _gathered(self, step: int) -> Generator[types.Batch, None, None]:
        whole, shown = self._resident
        rows = shardings.split(self.mesh)
        for number in range(step, len(self.order)):
            requested = self._local_order[number]
            if shown is not None:
                self.corrupt_images.note(requested, shown[requested], [])
            yield _gather(whole, _place(requested, rows), sharding=rows)

    def _streamed(self, step: int) -> Generator[types.Batch, None, None]:
        rows = shardings.split(self.mesh)
        batches = prefetch.iterate_batches(
            self.images,
            self._local_order,
            start=step,
            num_workers=self.num_workers,
            num_threads=self.num_threads,
        )
        for number, samples in enumerate(batches, step):
            reasons = dataset.unpack_reasons(samples["reasons"])
            self.corrupt_images.note(
                self._local_order[number], samples["shown"], reasons
            )
            yield self._to_devices(samples, rows)

    def _to_devices(
        self, samples: sources.Samples, sharding: NamedSharding
    ) -> types.Batch:
        """Moves the named fields of decoded samples to the devices."""
        batch: types.Batch = {}
        is_padded = self.images.is_padded
        for name in self.fields:
            if name == record_fields.IMAGE:
                batch[name] = to_devices(
                    samples, is_padded=is_padded, sharding=sharding
                )
            else:
                batch[name] = _place(record_fields.stacked(samples, name), sharding)
        return batch

    @functools.cached_property
    def _resident(self) -> tuple[types.Batch, np.ndarray | None]:
        everywhere = shardings.replicated(self.mesh)
        images = cache.read_all(self.images)
        sizes = images.sizes
        samples = sources.Samples(
            images=np.ascontiguousarray(images.images),
            sizes=np.zeros((0, 2), np.int32) if sizes is None else np.asarray(sizes),
            labels=np.asarray(images.labels, np.int32),
            fields={name: np.asarray(array) for name, array in images.arrays.items()},
            shown=np.zeros(0, np.int64),
            reasons=np.zeros(0, np.uint8),
        )
        return self._to_devices(samples, everywhere), images.shown


def batch_spec(
    names: Iterable[str],
    *,
    image_shape: tuple[int, int, int],
    is_padded: bool,
    extra: Mapping[str, types.Field] | None = None,
) -> types.BatchSpec:
    """Describes a batch by its fields, without an array and without a data set.

    Args:
      names: the fields of the batch.
      image_shape: (h, w, c) of every stored image or canvas.
      is_padded: whether the images have many sizes.
      extra: the fields other than ``image`` and ``label``.

    Returns:
      A ``types.Field`` for each name, without the axis ``b``; for images of many sizes
      a ``types.PaddedImages`` of two.

    Raises:
      UserError: if a name is not described.
    """
    pixels = types.Field(image_shape, np.uint8)
    known: dict[str, Any] = {**(extra or {})}
    known[record_fields.LABEL] = record_fields.LABEL_FIELD
    known[record_fields.IMAGE] = pixels
    if is_padded:
        size: Any = types.Field((2,), np.int32)
        canvas: Any = types.PaddedImages
        known[record_fields.IMAGE] = canvas(pixels, size)
    names = tuple(names)
    for name in names:
        if name not in known:
            raise errors.UserError(
                f"Field {name!r} is not described; expected one of {', '.join(known)}."
            )
    return {name: known[name] for name in names}


def to_devices(
    samples: sources.Samples,
    *,
    is_padded: bool,
    sharding: NamedSharding | None = None,
) -> types.StoredImages | types.PaddedImages:
    """Moves decoded samples to the devices.

    Args:
      samples: of this process, if there are several.
      is_padded: whether the images have many sizes, as ``Dataset`` says.
      sharding: how the rows are split over devices; None: the default device.

    Returns:
      The images, uint8 [b h w c], as ``types.PaddedImages`` where they have many
      sizes.
    """
    pixels = _place(samples["images"], sharding)
    if not is_padded:
        return pixels
    return types.PaddedImages(pixels, _place(samples["sizes"], sharding))


def _place(array: np.ndarray, sharding: NamedSharding | None) -> jax.Array:
    """Moves this process's part of an array to its devices, which is meant."""
    if sharding is None:
        return jax.device_put(array)
    # JAX takes it for an accident where there are several processes.
    with jax.transfer_guard("allow"):
        return jax.make_array_from_process_local_data(sharding, array)


@functools.partial(jax.jit, static_argnames="sharding")
def _gather(
    whole: types.Batch, numbers: jax.Array, sharding: NamedSharding
) -> types.Batch:
    def gather(values: jax.Array) -> jax.Array:
        chosen = values.at[numbers].get(mode="promise_in_bounds")
        return jax.lax.with_sharding_constraint(chosen, sharding)

    return jax.tree.map(gather, whole)
