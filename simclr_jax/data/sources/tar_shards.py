"""Source ``webdataset:GLOB``: tar shards with random access, without unpacking.

The members of each shard are listed once; after that, reading an image takes one read.
Does not import JAX.
"""

import dataclasses
import json
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from typing import final

import numpy as np

from simclr_jax.core import errors
from simclr_jax.data.sources import base as sources
from simclr_jax.data.sources import files, labels

_NAME_AND_FIELD = re.compile(r"(?P<name>(?:.*/)?[^./][^./]*)\.(?P<field>[^/]*)")
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_BLOCK = 512
_LABEL_BYTES = 1 << 16


@final
@dataclasses.dataclass
class Sample:
    """One sample of a shard.

    Attributes:
      title: ``SHARD/MEMBER`` of the image; empty until an image is found.
      offset: position of the image in the shard in bytes.
      size: size of the image in bytes.
      label: class number or name; None without a label.
    """

    title: str = ""
    offset: int = 0
    size: int = 0
    label: int | str | None = None


@final
@dataclasses.dataclass(frozen=True, eq=False)
class TarSource:
    """Images in tar shards.

    Attributes:
      name: ``webdataset:SPLIT@DIGEST``, with a digest of names and sizes of the shards.
      shards: paths of the shards.
      shard_of: index of the shard of each image, int32 [n].
      spans: position and size of each image in its shard in bytes, int64 [n 2].
      titles: ``SHARD/MEMBER`` of each image.
      labels: class numbers, int32 [n]; -1 without a label.
      num_classes: number of classes, or None without labels.
      class_names: names of the classes by number; None if labels are numbers.
      image_shape: None, as image sizes may differ.
    """

    name: str
    shards: tuple[str, ...]
    shard_of: np.ndarray
    spans: np.ndarray
    titles: tuple[str, ...]
    labels: np.ndarray
    num_classes: int | None
    class_names: tuple[str, ...] | None = None
    image_shape: tuple[int, int, int] | None = None

    def __len__(self) -> int:
        return len(self.titles)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> list[sources.Record]:
        """Reads the images at ``indices`` without decoding them.

        Raises:
          DataError: if a shard cannot be read or was truncated.
        """
        return [
            sources.Record(image=self._read(index), label=int(self.labels[index]))
            for index in map(int, indices)
        ]

    def title_of(self, index: int) -> str:
        """Returns the name of record ``index`` for messages, ``SHARD/MEMBER``."""
        return self.titles[index]

    def _read(self, index: int) -> bytes:
        # Opened for each read, so that threads share no file handle and thousands of
        # shards need no open handles.
        shard = self.shards[self.shard_of[index]]
        offset, size = self.spans[index].tolist()
        try:
            with open(shard, "rb", buffering=0) as file:
                encoded = os.pread(file.fileno(), size, offset)
        except OSError as error:
            message = f"{shard!r} cannot be read any more: {error.strerror}."
            raise errors.DataError(message) from error
        if len(encoded) != size:
            raise errors.DataError(
                f"{shard!r} became shorter after it was opened: {self.titles[index]} "
                f"has {len(encoded)} of {size} bytes. Start the run again."
            )
        return encoded


def open_tar_shards(pattern: str, *, split: str, label: str | None = None) -> TarSource:
    """Opens tar shards that follow the naming of WebDataset.

    Members with the same name up to the first dot form one sample: ``7.jpg`` is its
    image, ``7.cls`` its label as a decimal number; alternatively ``7.json`` has an
    entry ``"label"``, a number or a name. If any label is a number, names are ignored.

    Args:
      pattern: pattern of the shards, such as ``train-{000..009}.tar``, ``*.tar`` or
        ``{split}-*.tar``; see ``files.find_files``.
      split: ``"train"``, or any name if the pattern contains ``{split}``.
      label: entry of the ``.json`` members that holds the label; None: ``.cls``, or if
        that is missing, ``"label"`` in the ``.json``.

    Returns:
      The source, with shards ordered by path and images in the order of each shard.

    Raises:
      DataError: if nothing matches, a shard is compressed, truncated or not a tar file,
        a ``.cls`` label is not a number, or there are no images.
    """
    shards = files.find_files(pattern, split=split, kind="webdataset")
    per_shard = [list_shard(shard, label=label) for shard in shards]
    samples = [sample for listed in per_shard for sample in listed]
    if not samples:
        raise errors.DataError(
            f"webdataset:{pattern} has no images in its {len(shards)} shards. Expected "
            f"members that end in .{', .'.join(files.IMAGE_EXTENSIONS)}."
        )
    digest = files.digest_of(
        [(os.path.basename(shard), os.path.getsize(shard)) for shard in shards],
        num_records=len(samples),
    )
    counts = [len(listed) for listed in per_shard]
    numbers, names = _numbered(pattern, samples, split=split, label=label)
    return TarSource(
        name=f"webdataset:{split}@{digest}",
        shards=tuple(shards),
        shard_of=np.repeat(np.arange(len(shards), dtype=np.int32), counts),
        spans=np.asarray([(s.offset, s.size) for s in samples], np.int64),
        titles=tuple(sample.title for sample in samples),
        labels=numbers,
        num_classes=labels.count_classes(numbers, names),
        class_names=names,
    )


def _numbered(
    pattern: str, samples: list[Sample], *, split: str, label: str | None
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Returns the class numbers of the samples and the names of the classes."""
    train = None
    if split != "train" and any(isinstance(sample.label, str) for sample in samples):
        train = _train_labels(pattern, label)
    numbers, names = labels.to_class_numbers(
        f"webdataset:{pattern}", _labels_of(samples), train_values=train
    )
    if label and numbers.max() < 0:
        raise errors.DataError(
            f"webdataset:{pattern}: no sample has {label!r} in its .json member, which "
            "data.label names; expected a whole number from 0 or a name."
        )
    return numbers, names


def _labels_of(samples: list[Sample]) -> list[int | str | None]:
    """Returns the labels of the samples; if any is a number, only numbers."""
    found = [sample.label for sample in samples]
    if any(isinstance(label, int) for label in found):
        return [label if isinstance(label, int) else None for label in found]
    return list(found)


def _train_labels(pattern: str, label: str | None) -> list[int | str | None] | None:
    """Returns the labels of the training split, which number the classes."""
    try:
        shards = files.find_files(pattern, split="train", kind="webdataset")
    except errors.DataError:
        return None
    listed = [list_shard(shard, label=label) for shard in shards]
    return _labels_of([sample for samples in listed for sample in samples])


def list_shard(path: str, *, label: str | None = None) -> list[Sample]:
    """Returns the samples of a shard that have an image, in the order of the shard.

    Args:
      path: the tar file.
      label: see ``open_tar_shards``.

    Raises:
      DataError: if the file is compressed, truncated or not a tar file, or a ``.cls``
        label is not a number.
    """
    _check_not_compressed(path)
    samples: dict[str, Sample] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in _members(path, tar):
                match = _NAME_AND_FIELD.fullmatch(member.name)
                if match:
                    sample = samples.setdefault(match["name"], Sample())
                    field = match["field"].lower()
                    _add_field(path, tar, sample, member, field=field, label=label)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise errors.DataError(
            f"{path!r} cannot be read as a tar file: {error}. It may be cut short or "
            "be something else: copy or write it again."
        ) from error
    return [sample for sample in samples.values() if sample.title]


def _check_not_compressed(path: str) -> None:
    with open(path, "rb") as file:
        start = file.read(6)
    if start.startswith(_COMPRESSED):
        raise errors.DataError(
            f"{path!r} is compressed; images in it cannot be read at random. Unpack it "
            "to a plain .tar first (gunzip, bunzip2, unxz or unzstd): images hardly "
            "shrink by compression anyway."
        )


def _members(path: str, tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yields the regular files of a shard, then checks that it is not truncated."""
    while member := tar.next():
        if member.isreg() and not member.issparse():
            yield member
    # A file truncated between two members lists without an error. A complete tar file
    # ends with a block of zeros.
    with open(path, "rb") as file:
        file.seek(tar.offset)
        if file.read(_BLOCK) != bytes(_BLOCK):
            raise tarfile.ReadError("its end is missing")


def _add_field(
    path: str,
    tar: tarfile.TarFile,
    sample: Sample,
    member: tarfile.TarInfo,
    *,
    field: str,
    label: str | None,
) -> None:
    """Adds the image or the label of a member to its sample."""
    if field in files.IMAGE_EXTENSIONS and not sample.title:
        sample.title = f"{os.path.basename(path)}/{member.name}"
        sample.offset, sample.size = member.offset_data, member.size
    elif field == "cls" and not label and member.size <= _LABEL_BYTES:
        # A .cls file holds only the label, so it takes precedence over .json.
        sample.label = _label_in_cls(path, member, _read_member(tar, member))
    elif field == "json" and sample.label is None and member.size <= _LABEL_BYTES:
        text = _read_member(tar, member)
        sample.label = _label_in_json(text, label or "label")


def _read_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file else b""


def _label_in_cls(path: str, member: tarfile.TarInfo, text: bytes) -> int:
    if not re.fullmatch(rb"\s*\d{1,9}\s*", text):
        raise errors.DataError(
            f"{path!r}: the label in {member.name!r} is {text[:20]!r}; expected a "
            "whole number from 0, as text."
        )
    return int(text)


def _label_in_json(text: bytes, key: str) -> int | str | None:
    """Returns an entry of a JSON object; None if it is not a label."""
    try:
        label = json.loads(text).get(key)
    except (ValueError, AttributeError, RecursionError):
        return None
    if isinstance(label, str):
        return label or None
    is_number = isinstance(label, int) and not isinstance(label, bool)
    return label if is_number and 0 <= label < 1 << 31 else None
