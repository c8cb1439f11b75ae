"""What a data set is to this library: records by index, each a dict. No jax here."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypedDict, runtime_checkable

import numpy as np

from simclr_jax.core.fields import Field


class Record(TypedDict):
    """One image and what is known of it.

    The record of a source with an attribute ``fields`` holds those too, by their names.

    Attributes:
      image: uint8 [h w c] in [0, 255], or the bytes of an image file.
      label: number of its class, from 0; -1 where there is none.
    """

    image: np.ndarray | bytes
    label: int


class Samples(TypedDict):
    """Decoded records, stacked.

    Attributes:
      images: uint8 in [0, 255], shape [n h w c].
      sizes: valid height and width of each in pixels, int32, shape [n 2].
      labels: int32, shape [n]; -1 where there is none.
      fields: any other fields of the source by name, each of shape [n, ...].
      shown: numbers of the records that are shown, int64, shape [n]: another than was
        asked for where that one is bad.
      reasons: why those are bad, in the order of their rows; bytes of a JSON list of
        strings, uint8, so that any process and any batching takes it as it is.
    """

    images: np.ndarray
    sizes: np.ndarray
    labels: np.ndarray
    fields: dict[str, np.ndarray]
    shown: np.ndarray
    reasons: np.ndarray


@runtime_checkable
class Source(Protocol):
    """Random access to the records of one split.

    A source may have two more attributes: ``fields``, a mapping of names to
    ``core.fields.Field``, where its records hold other arrays beside the image and the
    label; and ``class_names``, a tuple of the names of the classes by number.

    Attributes:
      name: what the source is, with its version and split, e.g.
        ``"tfds:mnist/3.0.1:train"``. It is part of the data's fingerprint, so where
        nothing else tells the contents it ends in a digest, ``"folder:train@1f3a..."``;
        it does not say where the files lie.
      image_shape: (h, w, c) of every image, or None where they differ.
      num_classes: number of classes, or None where there are no labels.
    """

    @property
    def name(self) -> str:
        """See above."""
        ...

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """See above."""
        ...

    @property
    def num_classes(self) -> int | None:
        """See above."""
        ...

    def __len__(self) -> int: ...

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> list[Record]:
        """Returns several records at once, which is what formats on disk like."""
        ...

    def title_of(self, index: int) -> str:
        """Returns what to call a record in a message: a path, a member, a number."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class ArraySource:
    """Images that are in memory, or in a memory-mapped file: decoded already.

    Attributes:
      name: what the images are.
      images: uint8, shape [n h w c].
      labels: int32, shape [n].
      num_classes: number of classes, or None where the labels mean nothing.
      sizes: valid height and width in pixels, int32, shape [n 2], where the images
        have many sizes and lie in the upper left corners of ``images``; else None.
      shown: numbers of the records that ``images`` shows, int64, shape [n], where some
        were bad and others stand in their place; else None.
      class_names: of every class by its number; None where they have none.
      arrays: other fields by name, each of shape [n, ...].
      digests: of the fields, where those were decoded from another source; see
        ``record_fields.digests_of``.
      value_range: what made bytes of other values, where something did; see
        ``value_range``.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    num_classes: int | None
    sizes: np.ndarray | None = None
    shown: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    arrays: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    digests: Mapping[str, str] | None = None
    value_range: str | tuple[float, float] = "full"

    @property
    def fields(self) -> dict[str, Field]:
        """The fields beside the image and the label."""
        return {
            name: Field(values.shape[1:], values.dtype)
            for name, values in self.arrays.items()
        }

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape (h, w, c) of every image or canvas."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    @property
    def is_padded(self) -> bool:
        """Whether an image may fill a part of the shape only."""
        return self.sizes is not None

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> list[Record]:
        """Returns the records at ``indices``."""
        records = []
        for index in indices:
            record: Any = {name: values[index] for name, values in self.arrays.items()}
            label = int(self.labels[index])
            records.append(record | Record(image=self.images[index], label=label))
        return records

    def title_of(self, index: int) -> str:
        """Returns the number of the record."""
        return f"image {index}"

    def read(self, indices: Sequence[int] | np.ndarray) -> Samples:
        """Returns the records at ``indices``, stacked."""
        rows = np.asarray(indices, np.int64)
        sizes = self.sizes
        if sizes is None:
            whole = np.asarray(self.image_shape[:2], np.int32)
            sizes = np.broadcast_to(whole, (len(self), 2))
        return Samples(
            images=np.asarray(self.images[rows]),
            sizes=np.asarray(sizes[rows]),
            labels=np.asarray(self.labels[rows], np.int32),
            fields={n: np.asarray(values[rows]) for n, values in self.arrays.items()},
            shown=rows if self.shown is None else np.asarray(self.shown[rows]),
            reasons=np.zeros(0, np.uint8),
        )
