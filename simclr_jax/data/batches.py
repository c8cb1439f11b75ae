"""Batches on the devices: gathered from device memory, or streamed from the host.

A small data set is decoded once and kept on every device; the host then sends only the
indices of each batch, a few hundred bytes. A larger data set is prefetched
(``prefetch``): each process reads its part of every global batch. Both yield the same
batches.
"""

import dataclasses
import functools
from collections.abc import Generator, Iterable, Mapping
from typing import Any, final

import jax
import numpy as np
from jax.sharding import NamedSharding

from simclr_jax.core import errors, types
from simclr_jax.core import sharding as shardings
from simclr_jax.data import cache, dataset, prefetch, record_fields
from simclr_jax.data.sampler import BatchOrder, ProcessRows
from simclr_jax.data.sources import base as sources

RESIDENT_BYTES = 1 << 30
"""Default size of the largest decoded data set that is kept on the devices."""


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Batches:
    """The batches of a run on its devices, each a function of (seed, step).

    A batch is a dict of the requested fields; ``spec`` describes it.

    Attributes:
      images: the decoded records.
      order: which records are in which batch.
      mesh: the devices; a batch is sharded over the axis ``data``.
      resident_bytes: largest decoded data set in bytes that is kept on the devices.
      num_workers: worker processes that read and decode a streamed data set; 0: threads
        of this process.
      num_threads: reading threads if there are no workers.
      fields: names of the fields in a batch: ``image``, ``label``, or any other field
        of the records.

    Raises:
      DataError: if the records lack a field.

    Example:
      >>> from simclr_jax import data
      >>> from simclr_jax.core import sharding
      >>> images = data.open_images(data.open_source("synthetic:8x8x3:32"))
      >>> order = data.BatchOrder(num_images=32, batch_size=8, num_steps=4, seed=0)
      >>> mesh = sharding.make_mesh(num_devices=1)
      >>> batches = data.Batches(images, order, mesh, fields=("image", "label"))
      >>> batch = next(batches.start_at(0))
      >>> batch["image"].shape, batch["label"].shape
      ((8, 8, 8, 3), (8,))
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
        """The fields of a global batch, without the batch axis ``b``."""
        return batch_spec(
            self.fields,
            image_shape=self.images.image_shape,
            is_padded=self.images.is_padded,
            extra=record_fields.extra_fields(self.images),
        )

    @property
    def fingerprint(self) -> dict[str, Any]:
        """The identity of the data; must be equal when a run is resumed."""
        digests = record_fields.digests_of(self.images, self.fields)
        return {
            "name": self.images.name,
            "num_images": len(self.images),
            "image_shape": list(self.images.image_shape),
        } | ({"fields": digests} if digests else {})

    @property
    def is_decoded_once(self) -> bool:
        """Whether the whole data set is decoded once and kept."""
        return cache.num_decoded_bytes(self.images) <= self.resident_bytes

    @property
    def is_resident(self) -> bool:
        """Whether the whole data set is kept on the devices."""
        # CPU devices share one memory, and each of them has a copy there.
        local = [
            d for d in self.mesh.devices.flat if d.process_index == jax.process_index()
        ]
        num_copies = sum(device.platform == "cpu" for device in local) or 1
        num_bytes = cache.num_decoded_bytes(self.images)
        return num_bytes * num_copies <= self.resident_bytes

    @functools.cached_property
    def corrupt_images(self) -> dataset.CorruptImages:
        """The corrupt images found so far."""
        return dataset.CorruptImages(self.images)

    @property
    def _local_order(self) -> ProcessRows:
        # Computed here, because a worker process does not know the other processes.
        return ProcessRows(self.order, jax.process_index(), jax.process_count())

    def start_at(self, step: int) -> Generator[types.Batch, None, None]:
        """Yields the batches ``step``, ``step + 1``, ... to the end of the run.

        Args:
          step: index of the first batch, from 0.

        Yields:
          The requested fields, sharded over the devices: ``image`` is uint8 [b h w c],
          or ``types.PaddedImages`` if image sizes differ; ``label`` is int32 [b].
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
        """Transfers the requested fields of decoded samples to the devices."""
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
    """Returns the shapes and types of a batch, without reading data.

    Args:
      names: the fields of the batch.
      image_shape: (h, w, c) of every stored image or padded image.
      is_padded: whether image sizes differ.
      extra: the fields other than ``image`` and ``label``.

    Returns:
      A ``types.Field`` for each name, without the batch axis ``b``; if image sizes
      differ, ``image`` is a ``types.PaddedImages`` of two fields.

    Raises:
      UserError: if a name is unknown.

    Example:
      >>> from simclr_jax import data
      >>> spec = data.batch_spec(["image"], image_shape=(8, 8, 3), is_padded=False)
      >>> spec["image"].shape
      (8, 8, 3)
    """
    pixels = types.Field(image_shape, np.uint8)
    known: dict[str, Any] = {**(extra or {})}
    known[record_fields.LABEL] = record_fields.LABEL_FIELD
    known[record_fields.IMAGE] = pixels
    if is_padded:
        size: Any = types.Field((2,), np.int32)
        padded: Any = types.PaddedImages
        known[record_fields.IMAGE] = padded(pixels, size)
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
    """Transfers the images of decoded samples to the devices.

    Args:
      samples: the samples of this process.
      is_padded: whether image sizes differ; see ``Dataset``.
      sharding: sharding of the rows over devices; None: the default device.

    Returns:
      The images, uint8 [b h w c]; a ``types.PaddedImages`` if image sizes differ.

    Example:
      >>> from simclr_jax import data
      >>> source = data.open_source("synthetic:8x8x3:32")
      >>> data.to_devices(source.read([3, 1]), is_padded=False).shape
      (2, 8, 8, 3)
    """
    pixels = _place(samples["images"], sharding)
    if not is_padded:
        return pixels
    return types.PaddedImages(pixels, _place(samples["sizes"], sharding))


def _place(array: np.ndarray, sharding: NamedSharding | None) -> jax.Array:
    """Transfers this process's shard of an array to its devices.

    The transfer is intentional, so the transfer guard is lifted.
    """
    if sharding is None:
        return jax.device_put(array)
    # With several processes JAX counts this as an implicit transfer.
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
