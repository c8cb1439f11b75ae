"""Ranges of the records of a source, as in ``train[:80%]``.

Does not import JAX.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from simclr_jax.core import errors
from simclr_jax.data.sources import base as sources
from simclr_jax.data.sources import splits


@final
@dataclasses.dataclass(frozen=True, eq=False)
class SubsetSource:
    """A subset of the records of another source.

    Attributes:
      source: the whole source.
      rows: indices of the records in it, int64, shape [n].
      suffix: appended to the name of the source, e.g. ``"[:80%]"``.
    """

    source: sources.Source
    rows: np.ndarray
    suffix: str

    @property
    def name(self) -> str:
        """The name of the source followed by the range."""
        return f"{self.source.name}{self.suffix}"

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """The shape (h, w, c) of every image of the source, or None."""
        return self.source.image_shape

    @property
    def num_classes(self) -> int | None:
        """The number of classes of the source; some may have no record here."""
        return self.source.num_classes

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the classes by number; None if the source has none."""
        return getattr(self.source, "class_names", None)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields of the source other than the image and the label."""
        return getattr(self.source, "fields", {})

    @property
    def labels(self) -> np.ndarray | None:
        """The labels, int32 [n]; None if they are unknown without reading records."""
        labels = getattr(self.source, "labels", None)
        return None if labels is None else np.asarray(labels)[self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> list[sources.Record]:
        """Returns the records at ``indices`` of the subset."""
        return self.source.__getitems__(self.rows[np.asarray(indices, np.int64)])

    def title_of(self, index: int) -> str:
        """Returns the name of record ``index`` for messages."""
        return self.source.title_of(int(self.rows[index]))


def take_range(source: sources.Source, bounds: tuple[str, str]) -> sources.Source:
    """Selects a range of the records of a source, as in ``"train[:80%]"``.

    If the labels are known without reading images and the records are sorted by class
    (class folders, sorted arrays), percentages apply to each class: 80% of the images
    are 80% of every class, and ``[:80%]`` and ``[80%:]`` are disjoint. Numbers of
    records always apply to the whole split.

    Args:
      source: the whole split.
      bounds: start and stop as returned by ``splits.name_and_bounds``.

    Returns:
      The selected records in the original order. Images in memory are not copied if
      the range is contiguous.

    Raises:
      DataError: if the range is outside the split or empty.
    """
    suffix = f"[{bounds[0]}:{bounds[1]}]"
    parts = []
    for first, stop in _groups(source, bounds):
        begin, end = splits.slice_rows(bounds, num_records=stop - first)
        parts.append(np.arange(first + begin, first + end))
    rows = np.concatenate(parts)
    if not len(rows):
        raise errors.DataError(
            f"{source.name} has no records in the range {suffix}; it has {len(source)}."
        )
    if type(source) is sources.ArraySource and source.shown is None:
        return _take_arrays(source, rows, suffix)
    return SubsetSource(source, rows, suffix)


def _groups(source: sources.Source, bounds: tuple[str, str]) -> list[tuple[int, int]]:
    """Returns start and stop of the groups to which percentages apply."""
    everything = [(0, len(source))]
    labels = getattr(source, "labels", None)
    if labels is None or not all(bound.endswith("%") for bound in bounds if bound):
        return everything
    changes = np.flatnonzero(np.diff(labels)) + 1
    if (np.diff(labels) < 0).any() or not len(changes):
        return everything
    edges = [0, *changes.tolist(), len(source)]
    return list(itertools.pairwise(edges))


def _take_arrays(
    source: sources.ArraySource, rows: np.ndarray, suffix: str
) -> sources.ArraySource:
    is_contiguous = len(rows) == rows[-1] - rows[0] + 1
    chosen: Any = slice(int(rows[0]), int(rows[-1]) + 1) if is_contiguous else rows
    changes: dict[str, Any] = {
        "name": f"{source.name}{suffix}",
        "images": source.images[chosen],
        "labels": source.labels[chosen],
        "sizes": None if source.sizes is None else source.sizes[chosen],
    }
    arrays = getattr(source, "arrays", None)
    if arrays:
        changes["arrays"] = {name: values[chosen] for name, values in arrays.items()}
    return dataclasses.replace(source, **changes)
