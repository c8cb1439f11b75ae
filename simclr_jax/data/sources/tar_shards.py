"""Tar shards as WebDataset writes them, read at random without unpacking. No jax here.

Each shard is listed once; after that an image is one seek and one read.
"""

import dataclasses
import json
import os
import re
import tarfile
from collections.abc import Iterator, Sequence

import numpy as np

from simclr_jax.core import errors
from simclr_jax.data.sources import base as sources
from simclr_jax.data.sources import files, labels

_NAME_AND_FIELD = re.compile(r"(?P<name>(?:.*/)?[^./][^./]*)\.(?P<field>[^/]*)")
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_BLOCK = 512
_LABEL_BYTES = 1 << 16


@dataclasses.dataclass
class Sample:
    """What one shard holds of one sample.

    Attributes:
      title: ``SHARD/MEMBER`` of its image; empty while no image was seen.
      offset: where the bytes of the image begin in the shard.
      size: how many bytes they are.
      label: its class as a number or as a name; None without one.
    """

    title: str = ""
    offset: int = 0
    size: int = 0
    label: int | str | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class TarSource:
    """Images inside tar shards.

    Attributes:
      name: ``webdataset:SPLIT@DIGEST``, the digest over names and sizes of the shards.
      shards: paths of the shards.
      shard_of: int32 [n], number of the shard of each image.
      spans: int64 [n 2], where in its shard an image begins and how long it is, bytes.
      titles: of each image, ``SHARD/MEMBER``.
      labels: int32 [n], -1 without a label.
      num_classes: number of classes, or None without labels.
      class_names: of every class by number; None where the labels are numbers.
      image_shape: None: images may differ in size.
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
        """Reads the images at ``indices``; they are not decoded.

        Raises:
          DataError: if a shard cannot be read or is shorter than it was.
        """
        return [
            sources.Record(image=self._read(index), label=int(self.labels[index]))
            for index in map(int, indices)
        ]

    def title_of(self, index: int) -> str:
        """Returns ``SHARD/MEMBER``."""
        return self.titles[index]

    def _read(self, index: int) -> bytes:
        # Opened for each read: no handle is shared by threads or kept for each of what
        # may be thousands of shards.
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

    Members that share their name up to the first dot are one sample: ``7.jpg`` is its
    image, ``7.cls`` its label as a decimal number, or ``7.json`` has it as ``"label"``,
    a number or a name. Where some labels are numbers, names count as no label.

    Args:
      pattern: which shards, see ``files.find_files``: ``train-{000..009}.tar``,
        ``*.tar``, ``{split}-*.tar``.
      split: ``"train"``, or any with ``{split}`` in the pattern.
      label: which entry of the ``.json`` members is the label; None: ``.cls`` or, where
        there is none, ``"label"`` of the ``.json``.

    Returns:
      The source: shards in the order of their paths, images as they lie in them.

    Raises:
      DataError: if nothing matches, if a shard is compressed, cut short or no tar, if a
        label is no number, or if there is no image.
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
    """Returns the class numbers of samples and the names of the classes."""
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
    """Returns the labels of samples; where there are numbers, only those."""
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
    """Returns the samples of a shard that have an image, in the order they lie in it.

    Args:
      path: the tar file.
      label: see ``open_tar_shards``.

    Raises:
      DataError: if the file is compressed, cut short or no tar, or if a label is not a
        number.
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
    """Yields the plain files of a shard, and makes sure that its end is there."""
    while member := tar.next():
        if member.isreg() and not member.issparse():
            yield member
    # A file cut between two members lists without an error: only a block of zeros says
    # that a tar file ends.
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
    """Puts what a member says of a sample into it."""
    if field in files.IMAGE_EXTENSIONS and not sample.title:
        sample.title = f"{os.path.basename(path)}/{member.name}"
        sample.offset, sample.size = member.offset_data, member.size
    elif field == "cls" and not label and member.size <= _LABEL_BYTES:
        # A .cls is there for nothing but the label: it wins over a .json.
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
    """Returns an entry of a JSON object, None where that is no label."""
    try:
        label = json.loads(text).get(key)
    except (ValueError, AttributeError, RecursionError):
        return None
    if isinstance(label, str):
        return label or None
    is_number = isinstance(label, int) and not isinstance(label, bool)
    return label if is_number and 0 <= label < 1 << 31 else None
