"""Source ``hf:NAME_OR_PATH``: data sets of the Hugging Face package ``datasets``.

Reads a local folder or the cache; nothing is downloaded. Does not import JAX.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from simclr_jax.core import errors, registry
from simclr_jax.data.sources import base as sources
from simclr_jax.data.sources import files, hugging_face_cache, labels, splits

_IMAGE_COLUMNS = ("image", "img")
_LABEL_COLUMNS = ("label", "labels", "fine_label")


@final
@dataclasses.dataclass(frozen=True, eq=False)
class HuggingFaceSource:
    """One split of a data set in Arrow files.

    Attributes:
      name: ``hf:NAME:SPLIT@DIGEST``, without NAME if the data set was given by a path.
      rows: the ``datasets.Dataset``, with encoded images.
      image_column: name of the column of images.
      label_column: name of the column of labels, or None.
      num_classes: number of classes, or None without labels.
      labels: int32 [n], if the column does not hold class numbers; else None.
      class_names: names of the classes by number; None if they have none.
      image_shape: None, as image sizes may differ.
    """

    name: str
    rows: Any
    image_column: str
    label_column: str | None
    num_classes: int | None
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    image_shape: tuple[int, int, int] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> list[sources.Record]:
        """Reads the rows at ``indices`` without decoding the images.

        Raises:
          DataError: if the image file of a row cannot be read.
        """
        numbers = [int(index) for index in indices]
        if not numbers:
            return []
        columns = self.rows[numbers]
        images = [
            self._encoded(cell, number)
            for cell, number in zip(columns[self.image_column], numbers, strict=True)
        ]
        if self.labels is not None:
            numbered = self.labels[numbers].tolist()
        elif self.label_column:
            numbered = columns[self.label_column]
        else:
            numbered = [None] * len(images)
        return [
            sources.Record(image=image, label=-1 if label is None else int(label))
            for image, label in zip(images, numbered, strict=True)
        ]

    def title_of(self, index: int) -> str:
        """Returns the name of row ``index`` for messages, e.g. ``row 3``."""
        return f"row {index}"

    def _encoded(self, cell: Mapping[str, Any] | None, number: int) -> bytes:
        """Returns the bytes of an image in a row or its file; empty if missing."""
        if not cell or (cell["bytes"] is None and not cell["path"]):
            return b""
        if cell["bytes"] is not None:
            return cell["bytes"]
        try:
            with open(cell["path"], "rb") as file:
                return file.read()
        except OSError as error:
            raise errors.DataError(
                f"{self.name}: the image of row {number}, {cell['path']!r}, cannot be "
                f"read: {error.strerror}. Save the set with the images inside it."
            ) from error


def open_hugging_face(
    name: str, *, split: str, label: str | None = None
) -> HuggingFaceSource:
    """Opens an image data set of the ``datasets`` package.

    Args:
      name: a folder written by ``save_to_disk``, a folder of files that
        ``datasets.load_dataset`` reads, or the name of a cached data set: ``NAME``,
        ``USER/NAME`` or ``USER/NAME/CONFIG``.
      split: e.g. ``"train"`` or ``"train[:90%]"``.
      label: name of the label column, with integers or names; None: the first column of
        type ClassLabel, or one named ``label``, ``labels`` or ``fine_label``.

    Returns:
      The source.

    Raises:
      DataError: if the package is not installed, or the data set is missing or has no
        image column or no such split.
    """
    path = hugging_face_cache.local_path(name)
    with hugging_face_cache.quiet_and_offline():
        by_split = hugging_face_cache.load_splits(name)
        dataset = _select(name, by_split, split)
        image_column = _image_column(name, dataset.features)
        label_column = _label_column(name, dataset.features, label)
        found = _labels(name, label_column, dataset, by_split)
        digest = _digest(dataset, path)
        columns = [column for column in (image_column, label_column) if column]
        rows = _without_decoding(dataset.select_columns(columns), image_column)
    if not len(rows):
        raise errors.DataError(f"hf:{name} has no rows in its split {split!r}.")
    title = split if path else f"{name}:{split}"
    return HuggingFaceSource(
        name=f"hf:{title}@{digest}",
        rows=rows,
        image_column=image_column,
        label_column=label_column if found.num_classes else None,
        num_classes=found.num_classes,
        labels=found.numbers,
        class_names=found.names,
    )


def _select(name: str, by_split: dict[str, Any], split: str) -> Any:
    """Returns the rows of a split, or of parts as in ``"train[:90%]+test"``."""
    datasets = hugging_face_cache.import_datasets()
    for base in splits.base_splits(split):
        if base not in by_split:
            message = registry.unknown_name(f"split of 'hf:{name}':", base, by_split)
            raise errors.DataError(message)
    if split in by_split:
        return by_split[split]
    try:
        instruction = datasets.ReadInstruction.from_spec(split)
        lengths = {key: len(dataset) for key, dataset in by_split.items()}
        parts = instruction.to_absolute(lengths)
    except (ValueError, AssertionError) as error:
        raise errors.DataError(
            f"hf:{name}: cannot read the split {split!r}: {error}. Expected e.g. "
            "train[:90%] or train[1000:]."
        ) from error
    chosen = [by_split[p.splitname].select(range(p.from_, p.to)) for p in parts]
    return chosen[0] if len(chosen) == 1 else datasets.concatenate_datasets(chosen)


def _image_column(name: str, features: Mapping[str, Any]) -> str:
    datasets = hugging_face_cache.import_datasets()
    found = [key for key, kind in features.items() if isinstance(kind, datasets.Image)]
    preferred = [key for key in _IMAGE_COLUMNS if key in found]
    if not found:
        listed = ", ".join(f"{k} ({type(v).__name__})" for k, v in features.items())
        raise errors.DataError(
            f"hf:{name} has no column of images; its columns: {listed or 'none'}. "
            "Expected one of the type datasets.Image."
        )
    return [*preferred, *found][0]


def _label_column(
    name: str, features: Mapping[str, Any], label: str | None
) -> str | None:
    """Returns the name of the label column; None if there is none."""
    datasets = hugging_face_cache.import_datasets()
    if label is not None:
        if label in features:
            return label
        message = registry.unknown_name(
            f"label column of 'hf:{name}':", label, features
        )
        raise errors.DataError(message)
    classes = [k for k, v in features.items() if isinstance(v, datasets.ClassLabel)]
    preferred = [key for key in _LABEL_COLUMNS if key in classes]
    if classes:
        return [*preferred, *classes][0]
    kinds = ("int", "bool", "string")
    for key in _LABEL_COLUMNS:
        if any(kind in str(getattr(features.get(key), "dtype", "")) for kind in kinds):
            return key
    return None


@final
@dataclasses.dataclass(frozen=True)
class _Labels:
    """The labels of a column; ``numbers`` is None if it holds class numbers."""

    num_classes: int | None = None
    numbers: np.ndarray | None = None
    names: tuple[str, ...] | None = None


def _labels(
    name: str, column: str | None, dataset: Any, by_split: Mapping[str, Any]
) -> _Labels:
    """Reads a column of labels, unless its type is ClassLabel."""
    datasets = hugging_face_cache.import_datasets()
    if column is None:
        return _Labels()
    feature = dataset.features[column]
    if isinstance(feature, datasets.ClassLabel):
        names = tuple(feature.names) if feature.names else None
        return _Labels(feature.num_classes, None, names)
    train = by_split.get("train")
    train_values = None
    if train is not None and column in train.features:
        train_values = _values(train, column)
    numbers, names = labels.to_class_numbers(
        f"hf:{name}, column {column!r},",
        _values(dataset, column),
        train_values=train_values,
    )
    return _Labels(labels.count_classes(numbers, names), numbers, names)


def _values(dataset: Any, column: str) -> list[Any]:
    """Returns the values of a column, in the order of the rows."""
    return list(dataset.with_format(None).select_columns([column])[:][column])


def _without_decoding(dataset: Any, image_column: str) -> Any:
    datasets = hugging_face_cache.import_datasets()
    return dataset.with_format(None).cast_column(
        image_column, datasets.Image(decode=False)
    )


def _digest(dataset: Any, path: str | None) -> str:
    """Returns a digest of the Arrow files.

    Folders written by ``save_to_disk`` have a fingerprint that is independent of their
    location; it is included. The fingerprint of ``load_dataset`` depends on dates and
    paths, and is not.
    """
    paths = sorted(file["filename"] for file in dataset.cache_files)
    sizes = [(os.path.basename(path), os.path.getsize(path)) for path in paths]
    if not paths:
        sizes.append(("in memory", int(dataset.data.nbytes)))
    if path and hugging_face_cache.is_saved(path):
        sizes.append((dataset._fingerprint, 0))
    return files.digest_of(sizes, num_records=len(dataset))
