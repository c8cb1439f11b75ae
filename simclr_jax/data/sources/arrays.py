"""Source ``arrays:FILE``: images in a NumPy file, ``.npy`` or ``.npz``.

Does not import JAX.
"""

import dataclasses
import hashlib
import os
import zipfile
import zlib
from typing import Any, final

import numpy as np

from simclr_jax.core import errors
from simclr_jax.data import pixel_options
from simclr_jax.data.sources import base as sources
from simclr_jax.data.sources import files, labels

_IMAGE_KEYS = ("images", "image", "x", "data")
_LABEL_KEYS = ("labels", "label", "y", "targets")
_UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
_CHUNK = 1024

MAX_CHANNELS = 64
"""Largest number of channels; a longer last axis is assumed to be another axis."""


@final
@dataclasses.dataclass(frozen=True, eq=False)
class MappedArraySource(sources.ArraySource):
    """Images of an ``.npy`` file, memory-mapped and read from disk on access.

    Attributes:
      file: path of the file. A copy in another process maps the file again; the images
        are not sent.
    """

    file: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return _map_again, (self.name, self.file)


def open_arrays(
    path: str,
    *,
    split: str,
    label: str | None = None,
    value_range: pixel_options.ValueRange = pixel_options.FULL_RANGE,
) -> sources.ArraySource:
    """Opens the images in a NumPy file.

    Images are uint8, or floating-point in [0, 1], of shape [n h w c] or [n h w]; other
    types and ranges require ``value_range``. In an ``.npz`` file, images are named
    ``images``, ``image``, ``x`` or ``data``, and labels ``labels``, ``label``, ``y`` or
    ``targets``. Names such as ``x_test``, ``images_test`` or ``test_images`` belong to
    another split.

    Args:
      path: the file; ``~`` is the home folder. ``{split}`` is replaced by the split.
      split: e.g. ``"train"``.
      label: name of the label array in an ``.npz``; None: one of the names above.
      value_range: which values become 0 and 255, for types other than uint8; see
        ``pixel_options``.

    Returns:
      The images. Images of an ``.npy`` file of uint8 stay on disk.

    Raises:
      DataError: if the file is missing or cannot be read, has no images or no such
        split, or if an array has the wrong form.
    """
    where = f"arrays:{path}"
    pattern = os.path.abspath(os.path.expanduser(path))
    has_splits = "{split}" in path
    path = pattern.replace("{split}", split)
    stored = _load(where, path)
    name = f"arrays:{split}@{_digest(path)}"
    if isinstance(stored, np.ndarray):
        labels.refuse_option(where, label, reason="is an .npy file: images alone")
        if not has_splits:
            files.put_split(path, split=split, kind="arrays")
        images = as_images(where, stored, value_range=value_range)
        none = np.full(len(images), labels.UNLABELED, np.int32)
        if images.dtype == stored.dtype:
            return MappedArraySource(name, images, none, None, file=path)
        return sources.ArraySource(name, images, none, None, value_range=value_range)
    with stored:
        keys = _find_keys(where, stored.files, split, has_splits, label)
        image_title = f"{where}, {keys[0]!r},"
        array = _member(where, stored, keys[0])
        images = as_images(image_title, array, value_range=value_range)
        applied = pixel_options.FULL_RANGE if array.dtype == np.uint8 else value_range
        if keys[1] is None:
            none = np.full(len(images), labels.UNLABELED, np.int32)
            return sources.ArraySource(name, images, none, None, value_range=applied)
        title = f"{where}, {keys[1]!r},"
        values = _label_values(
            title, _member(where, stored, keys[1]), num_images=len(images)
        )
        train_values = None
        if split != "train" and values.dtype.kind in "US":
            train = pattern.replace("{split}", "train")
            train_values = _train_values(where, stored, train, has_splits, label)
    numbers, names = labels.to_class_numbers(title, values, train_values=train_values)
    num_classes = labels.count_classes(numbers, names)
    return sources.ArraySource(
        name, images, numbers, num_classes, class_names=names, value_range=applied
    )


def _train_values(
    where: str, stored: Any, train_file: str, has_splits: bool, label: str | None
) -> np.ndarray | None:
    """Returns the labels of the training split, which number the class names."""
    if has_splits:
        if not os.path.isfile(train_file):
            return None
        with _load(where, train_file) as other:
            key = _find_keys(where, other.files, "train", has_splits, label)[1]
            return None if key is None else _member(where, other, key)
    if "train" not in _splits_in(stored.files):
        return None
    key = _find_keys(where, stored.files, "train", has_splits, label)[1]
    return None if key is None else _member(where, stored, key)


def as_images(
    where: str,
    array: np.ndarray,
    *,
    value_range: pixel_options.ValueRange = pixel_options.FULL_RANGE,
) -> np.ndarray:
    """Checks an array of images and converts it to uint8.

    Args:
      where: name of the array for messages.
      array: uint8, or floating-point in [0, 1]; shape [n h w c] or [n h w].
      value_range: which values become 0 and 255, if the array is not uint8.

    Returns:
      uint8, shape [n h w c]; a view of ``array`` if that is uint8.

    Raises:
      DataError: if the array has the wrong type, range or shape.
    """
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or 0 in array.shape:
        raise errors.DataError(
            f"{where} has shape {list(array.shape)}; expected images of shape "
            "[n h w c] or [n h w], at least one."
        )
    num_channels = array.shape[3]
    is_channels_first = array.shape[1] in (1, 3) and num_channels not in (1, 3)
    if is_channels_first or num_channels > MAX_CHANNELS:
        raise errors.DataError(
            f"{where} has shape {list(array.shape)}; expected the channels last, at "
            f"most {MAX_CHANNELS}; got {num_channels}. {_channel_hint(array.shape)}"
        )
    if array.dtype == np.uint8:
        return array
    if value_range != pixel_options.FULL_RANGE and array.dtype.kind in "iuf":
        return _stretched(where, array, value_range)
    if not np.issubdtype(array.dtype, np.floating):
        raise errors.DataError(
            f"{where} has dtype {array.dtype}; expected uint8, or float in [0, 1]. If "
            "its values are whole numbers from 0 to 255: save x.astype(np.uint8). If "
            "they have another range: data.range=LOW:HIGH, percentiles or image."
        )
    images = np.empty(array.shape, np.uint8)
    for start in range(0, len(array), _CHUNK):
        part = np.asarray(array[start : start + _CHUNK], np.float32)
        low, high = part.min(), part.max()
        if not (low >= 0 and high <= 1):
            raise errors.DataError(
                f"{where} has dtype {array.dtype} and values from {low:g} to {high:g}; "
                "expected float in [0, 1], or uint8. If 255 is white: save "
                "x.round().astype(np.uint8). If it is another: data.range=LOW:HIGH."
            )
        images[start : start + _CHUNK] = np.rint(part * 255)
    return images


def _label_values(where: str, array: np.ndarray, *, num_images: int) -> np.ndarray:
    """Returns one label for each image, [n], from an array [n] or [n 1]."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (num_images,):
        raise errors.DataError(
            f"{where} has shape {list(array.shape)}; expected one label for each of "
            f"the {num_images} images, shape [{num_images}]."
        )
    return array


def _stretched(
    where: str, array: np.ndarray, value_range: pixel_options.ValueRange
) -> np.ndarray:
    """Converts images of any type to uint8 with a value range."""
    images = np.empty(array.shape, np.uint8)
    for number, image in enumerate(array):
        try:
            images[number] = pixel_options.to_bytes(np.asarray(image), value_range)
        except ValueError as error:
            raise errors.DataError(f"{where}, image {number}, has {error}.") from error
    return images


def _channel_hint(shape: tuple[int, ...]) -> str:
    if shape[1] in (1, 3):
        return "Channels come first, it seems: save x.transpose(0, 2, 3, 1) instead."
    return "Save those that matter, e.g. x[..., :3]."


def _load(where: str, path: str) -> Any:
    """Returns the mapped array of an ``.npy`` file or the open ``.npz`` file."""
    if not os.path.isfile(path):
        raise errors.DataError(
            f"{where}: there is no file {path!r}. Expected a .npy or .npz file."
        )
    try:
        with open(path, "rb") as file:
            is_cut = file.read(2) == b"PK" and not zipfile.is_zipfile(file)
        if is_cut:
            # numpy would raise too, but leave the file open.
            raise zipfile.BadZipFile("the end of the archive is missing")
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except _UNREADABLE as error:
        raise errors.DataError(_unreadable(where, error)) from error


def _member(where: str, stored: Any, key: str) -> np.ndarray:
    try:
        return stored[key]
    except _UNREADABLE as error:
        raise errors.DataError(_unreadable(f"{where}, {key!r},", error)) from error


def _unreadable(where: str, error: Exception) -> str:
    return (
        f"{where} cannot be read: {error}. Expected a whole .npy or .npz file of plain "
        "numbers (not Python objects, such as images of several sizes)."
    )


def _find_keys(
    where: str, keys: list[str], split: str, has_splits: bool, label: str | None
) -> tuple[str, str | None]:
    """Returns the names of the image array and of the label array, if any."""
    patterns = ["{base}_" + split, split + "_{base}"]
    if split == "train" or has_splits:
        patterns.append("{base}")
    for pattern in patterns:
        images = [pattern.format(base=base) for base in _IMAGE_KEYS]
        bases = (label,) if label else _LABEL_KEYS
        named = [pattern.format(base=base) for base in bases]
        if label and split == "train":
            named.append(label)
        for key in images:
            if key in keys:
                found = next((name for name in named if name in keys), None)
                if label and not found:
                    raise errors.DataError(
                        f"{where} has no array {named[0]!r} of labels, which "
                        f"data.label={label!r} asks for; it holds "
                        f"{', '.join(sorted(keys))}."
                    )
                return key, found
    choices = _splits_in(keys)
    if choices:
        raise errors.DataError(
            f"Unknown split {split!r} of {where}. Choices: {', '.join(choices)}. The "
            f"file holds: {', '.join(sorted(keys))}."
        )
    raise errors.DataError(
        f"{where} has no images: it holds {', '.join(sorted(keys)) or 'nothing'}. "
        f"Expected an array named {', '.join(_IMAGE_KEYS)}, or e.g. x_train, x_test."
    )


def _splits_in(keys: list[str]) -> list[str]:
    """Returns the splits that occur in the names of the arrays."""
    found = set()
    for key in keys:
        first, _, rest = key.partition("_")
        if key in _IMAGE_KEYS:
            found.add("train")
        elif rest and first in _IMAGE_KEYS:
            found.add(rest)
        elif rest in _IMAGE_KEYS:
            found.add(first)
    return sorted(found)


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _map_again(name: str, file: str) -> MappedArraySource:
    """Maps a file again in another process."""
    images = as_images(file, _load(file, file))
    none = np.full(len(images), labels.UNLABELED, np.int32)
    return MappedArraySource(name, images, none, None, file=file)
