"""What a data set is to this library: records by index, each a dict. No jax here."""

import concurrent.futures
import dataclasses
from collections.abc import Sequence
from typing import Protocol, TypedDict, runtime_checkable

import numpy as np


class Record(TypedDict):
    """One image as it is stored, uint8 [h w c] in [0, 255], and its class."""

    image: np.ndarray
    label: int


@runtime_checkable
class Source(Protocol):
    """Random access to the records of one split.

    Attributes:
      name: what the source is, with its version and split, e.g.
        ``"tfds:mnist/3.0.1:train"``. It is part of the data's fingerprint.
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


@dataclasses.dataclass(frozen=True, eq=False)
class ArraySource:
    """Images that are in memory already.

    Attributes:
      name: what the images are.
      images: uint8, shape [n h w c].
      labels: int32, shape [n].
      num_classes: number of classes, or None where the labels mean nothing.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    num_classes: int | None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape (h, w, c) of every image."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> list[Record]:
        """Returns the records at ``indices``."""
        return [
            Record(image=self.images[index], label=int(self.labels[index]))
            for index in indices
        ]


def read_all(source: Source, *, num_threads: int = 4) -> ArraySource:
    """Decodes every record of a source whose images all have one shape.

    Args:
      source: the records.
      num_threads: threads that decode.

    Returns:
      The same records in memory.
    """
    if isinstance(source, ArraySource):
        return source
    if source.image_shape is None:
        raise ValueError(f"{source.name} has images of many shapes")
    images = np.empty((len(source), *source.image_shape), np.uint8)
    labels = np.empty(len(source), np.int32)

    def read_range(indices: range) -> None:
        records = source.__getitems__(indices)
        for index, record in zip(indices, records, strict=True):
            images[index] = record["image"]
            labels[index] = record["label"]

    chunk = 1024
    ranges = [
        range(s, min(s + chunk, len(source))) for s in range(0, len(source), chunk)
    ]
    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        list(pool.map(read_range, ranges))
    return ArraySource(source.name, images, labels, source.num_classes)
