"""Source ``arrayrecord:GLOB``: ArrayRecord files of encoded images.

A record is an image file, or a ``tf.train.Example`` as written by TensorFlow Datasets,
which is read without TensorFlow. Does not import JAX.
"""

import bisect
import dataclasses
import functools
import itertools
import os
from collections.abc import Sequence
from typing import Any, final

import numpy as np

from simclr_jax.core import errors
from simclr_jax.data.sources import base as sources
from simclr_jax.data.sources import files, labels

_IMAGE_KEYS = ("image", "image/encoded")
_LABEL_KEYS = ("label", "image/class/label")
_SIGNATURES = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF8",
    b"BM",
    b"II*\0",  # TIFF, both byte orders
    b"MM\0*",
)
_CHUNK = 4096


@final
@dataclasses.dataclass(frozen=True)
class Shard:
    """One file, in the form expected by the ``array_record`` package.

    Attributes:
      filename: path of the file.
      take: number of records in the file.
      skip: 0, to read from the first record.
      examples_in_shard: equal to ``take``.
    """

    filename: str
    take: int
    skip: int = 0

    @property
    def examples_in_shard(self) -> int:
        """Number of records in the file."""
        return self.take


@final
@dataclasses.dataclass(frozen=True, eq=False)
class ArrayRecordSource:
    """Images in ArrayRecord files.

    Attributes:
      name: ``arrayrecord:SPLIT@DIGEST``, with a digest of file names and sizes.
      shards: the files.
      records: random access to the bytes of all records.
      is_example: whether a record is a ``tf.train.Example``.
      has_labels: whether the first record has a label.
      label_column: name of the label feature; None: one of the usual names.
      image_shape: None, as image sizes may differ.
    """

    name: str
    shards: tuple[Shard, ...]
    records: Any
    is_example: bool
    has_labels: bool
    label_column: str | None = None
    image_shape: tuple[int, int, int] | None = None

    @functools.cached_property
    def num_classes(self) -> int | None:
        """Number of classes, None without labels; all records are read to tell it."""
        if not self.has_labels:
            return None
        highest = -1
        for start in range(0, len(self), _CHUNK):
            read = self.__getitems__(range(start, min(start + _CHUNK, len(self))))
            highest = max(highest, *(record["label"] for record in read))
        return highest + 1 if highest >= 0 else None

    def __len__(self) -> int:
        return len(self.records)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> list[sources.Record]:
        """Reads the records at ``indices`` without decoding the images.

        Raises:
          DataError: if a record is damaged.
        """
        numbers = [int(index) for index in indices]
        if not numbers:
            return []
        try:
            read = self.records.__getitems__(numbers)
        except RuntimeError:
            read = [self._read_one(number) for number in numbers]
        if not self.is_example:
            return [sources.Record(image=image, label=-1) for image in read]
        return [_parse_example(encoded, self.label_column)[0] for encoded in read]

    def title_of(self, index: int) -> str:
        """Returns the file name of record ``index`` and its number in the file."""
        ends = list(itertools.accumulate(shard.take for shard in self.shards))
        number = bisect.bisect_right(ends, index)
        name = os.path.basename(self.shards[number].filename)
        return f"{name}, record {index - (ends[number - 1] if number else 0)}"

    def _read_one(self, number: int) -> bytes:
        try:
            return self.records[number]
        except RuntimeError as error:
            raise errors.DataError(
                f"{self.title_of(number)}, cannot be read: {error} The file is "
                "damaged: copy or write it again."
            ) from error


def reader() -> Any:
    """Returns the module that reads ArrayRecord files.

    Raises:
      DataError: if the package is missing, as on Windows, where it does not exist.
    """
    try:
        from array_record.python import array_record_data_source
    except ImportError as error:
        raise errors.DataError(
            f"ArrayRecord files and TFDS sets need the package array_record ({error}). "
            "Run: pip install array_record. It exists for Linux and macOS; elsewhere "
            "use another source, e.g. folder:PATH, arrays:FILE or webdataset:GLOB."
        ) from error
    return array_record_data_source


def open_array_record(
    pattern: str, *, split: str, label: str | None = None
) -> ArrayRecordSource:
    """Opens ArrayRecord files.

    Args:
      pattern: pattern of the files; see ``files.find_files``.
      split: ``"train"``, or any name if the pattern contains ``{split}``.
      label: name of the label feature, with integers from 0; None: ``label`` or
        ``image/class/label``.

    Returns:
      The source, with files ordered by path and records in the order of each file.

    Raises:
      DataError: if nothing matches, a file is damaged or not an ArrayRecord file, or
        the first record is neither an image file nor an example with an image.
    """
    paths = files.find_files(pattern, split=split, kind="arrayrecord")
    shards = tuple(Shard(path, take=_count(path)) for path in paths)
    if not any(shard.take for shard in shards):
        raise errors.DataError(
            f"arrayrecord:{pattern} has no records in its {len(paths)} files. Expected "
            "one for each image."
        )
    records = reader().ArrayRecordDataSource(shards)
    digest = files.digest_of(
        [(os.path.basename(path), os.path.getsize(path)) for path in paths],
        num_records=len(records),
    )
    source = ArrayRecordSource(
        name=f"arrayrecord:{split}@{digest}",
        shards=shards,
        records=records,
        is_example=False,
        has_labels=False,
    )
    encoded = source._read_one(0)
    if is_image_file(encoded):
        where = f"arrayrecord:{pattern}"
        labels.refuse_option(where, label, reason="holds image files alone")
        return source
    has_labels = _check_example(source.title_of(0), encoded, label)
    return dataclasses.replace(
        source, is_example=True, has_labels=has_labels, label_column=label
    )


def _check_example(title: str, encoded: bytes, label: str | None) -> bool:
    """Raises an error unless a record has an image and the requested label.

    Returns:
      Whether it has a label.
    """
    first, features = _parse_example(encoded, label)
    if not is_image_file(first["image"]):
        raise errors.DataError(
            f"{title}, is neither an image file nor a tf.train.Example "
            f"with one in {' or '.join(_IMAGE_KEYS)}. It begins with {encoded[:12]!r}; "
            f"features found: {', '.join(features) or 'none'}. Write encoded images "
            "(PNG, JPEG)."
        )
    has_labels = first["label"] >= 0
    if label and not has_labels:
        raise errors.DataError(
            f"{title}, has no label in the feature {label!r}, which "
            f"data.label names; expected one whole number from 0. Features found: "
            f"{', '.join(features)}."
        )
    return has_labels


def is_image_file(encoded: object) -> bool:
    """Returns whether ``encoded`` begins like an image file of a known format."""
    if not isinstance(encoded, bytes):
        return False
    is_webp = encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP"
    return is_webp or encoded.startswith(_SIGNATURES)


def _parse_example(encoded: Any, label: str | None) -> tuple[sources.Record, list[str]]:
    """Parses a serialized ``tf.train.Example``.

    Returns:
      The record, whose image is empty (and thus treated as corrupt) if it is missing;
      and the names of the features.
    """
    from google.protobuf import message
    from tensorflow_datasets.proto import tf_example_pb2

    protos: Any = tf_example_pb2
    label_keys = (label,) if label else _LABEL_KEYS
    try:
        features = protos.Example.FromString(encoded).features.feature
    except message.DecodeError:
        return sources.Record(image=b"", label=-1), []
    # Indexing a protobuf map with a missing key adds the key, hence the checks by "in".
    image_key = next((name for name in _IMAGE_KEYS if name in features), None)
    label_key = next((name for name in label_keys if name in features), None)
    images = features[image_key].bytes_list.value if image_key else []
    classes = features[label_key].int64_list.value if label_key else []
    record = sources.Record(
        image=images[0] if len(images) == 1 else b"",
        label=int(classes[0]) if len(classes) == 1 else -1,
    )
    return record, sorted(features)


def _count(path: str) -> int:
    """Returns the number of records in a file."""
    try:
        return len(reader().ArrayRecordDataSource([path]))
    except (RuntimeError, ValueError) as error:
        raise errors.DataError(
            f"{path!r} cannot be read as an ArrayRecord file. It may be cut short or "
            f"be something else: copy or write it again. {error}"
        ) from error
