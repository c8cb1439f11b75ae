"""Interface of data sources, the form of records, and images in memory.

Does not import JAX.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypedDict, runtime_checkable

import numpy as np

from simclr_jax.core.fields import Field


class Record(TypedDict):
    """One encoded or decoded image with its label.

    If the source has an attribute ``fields``, its records also hold those by name.

    Attributes:
      image: uint8 [h w c] in [0, 255], or the bytes of an image file.
      label: class number, from 0; -1 without a label.
    """

    image: np.ndarray | bytes
    label: int


class Samples(TypedDict):
    """A stack of decoded records.

    Attributes:
      images: uint8 in [0, 255], shape [n h w c].
      sizes: valid height and width of each image in pixels, int32, shape [n 2].
      labels: class numbers, int32, shape [n]; -1 without a label.
      fields: other fields of the source by name, each of shape [n, ...].
      shown: indices of the records actually returned, int64, shape [n]; they differ
        from the requested ones where a corrupt image was replaced.
      reasons: why images were replaced, in the order of their rows; a JSON list of
        strings, encoded as uint8 so that it can be sent between processes.

    Example:
      >>> from simclr_jax import data
      >>> samples: data.Samples = data.open_source("synthetic:8x8x3:32").read([4, 2])
      >>> samples["shown"].tolist()
      [4, 2]
    """

    images: np.ndarray
    sizes: np.ndarray
    labels: np.ndarray
    fields: dict[str, np.ndarray]
    shown: np.ndarray
    reasons: np.ndarray


@runtime_checkable
class Source(Protocol):
    """Random access to the records of one split; images need not be decoded.

    A source may have two optional attributes: ``fields``, a mapping of names to
    ``core.fields.Field``, if its records hold arrays other than the image and the
    label; and ``class_names``, a tuple of the names of the classes by number.

    Attributes:
      name: identifies the data with version and split, e.g.
        ``"tfds:mnist/3.0.1:train"``. The name is part of the fingerprint of the data,
        so it ends in a digest if it does not determine the contents otherwise, e.g.
        ``"folder:train@1f3a..."``. It is independent of the location of the files.
      image_shape: (h, w, c) of every image, or None if shapes differ.
      num_classes: number of classes, or None without labels.

    Example:
      >>> from simclr_jax import data
      >>> isinstance(data.open_source("synthetic:8x8x3:32"), data.Source)
      True
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
        """Returns several records at once, which is faster for files on disk."""
        ...

    def title_of(self, index: int) -> str:
        """Returns the name of record ``index`` for messages: path or number."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class ArraySource:
    """Decoded images in memory or in a memory-mapped file.

    Attributes:
      name: identifies the images; see ``Source``.
      images: uint8, shape [n h w c].
      labels: class numbers, int32, shape [n].
      num_classes: number of classes, or None if the labels have no meaning.
      sizes: valid height and width in pixels, int32, shape [n 2], if image sizes differ
        and ``images`` are padded at the bottom and right; else None.
      shown: indices of the records actually shown, int64, shape [n], if corrupt images
        were replaced; else None.
      class_names: names of the classes by number; None if they have none.
      arrays: other fields by name, each of shape [n, ...].
      digests: digests of the fields, if they were decoded from another source; see
        ``record_fields.digests_of``.
      value_range: the range with which other values were converted to uint8; see
        ``pixel_options``.

    Example:
      >>> import numpy as np
      >>> from simclr_jax import data
      >>> source = data.ArraySource(
      ...     name="gray",
      ...     images=np.full((10, 8, 8, 1), 128, np.uint8),
      ...     labels=np.arange(10, dtype=np.int32) % 2,
      ...     num_classes=2,
      ... )
      >>> len(source), source.image_shape
      (10, (8, 8, 1))
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
        """The fields other than the image and the label."""
        return {
            name: Field(values.shape[1:], values.dtype)
            for name, values in self.arrays.items()
        }

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape (h, w, c) of every image or padded image."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    @property
    def is_padded(self) -> bool:
        """Whether images may fill only part of the shape."""
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
        """Returns the name of record ``index`` for messages, e.g. ``image 3``."""
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
