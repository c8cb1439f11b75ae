"""Decoded records of a source as arrays of one shape; corrupt images are replaced.

If all images have the same size, they are decoded at that size. Otherwise each image is
decoded into the upper left corner of a square padded image, and scaled down if it is
larger (``decode``).
"""

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, cast, final, runtime_checkable

import numpy as np

from simclr_jax.core import checks, errors, registry
from simclr_jax.core.fields import Field
from simclr_jax.data import decode, inspection, pixel_options, record_fields
from simclr_jax.data.sources import base as sources

_log = logging.getLogger("simclr_jax")

MAX_TRIES = 20
"""Number of records after a corrupt one that are tried as its replacement."""

ON_BAD_IMAGE = ("fail", "replace")


@runtime_checkable
class Dataset(Protocol):
    """Random access to decoded records.

    Attributes:
      name: see ``sources.Source``.
      image_shape: (h, w, c) of every image or padded image.
      num_classes: number of classes, or None without labels.
      is_padded: whether images may fill only part of the shape.

    Example:
      >>> from simclr_jax import data
      >>> images = data.open_images(data.open_source("synthetic:8x8x3:32"))
      >>> isinstance(images, data.Dataset), images.image_shape
      (True, (8, 8, 3))
    """

    @property
    def name(self) -> str:
        """See above."""
        ...

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """See above."""
        ...

    @property
    def num_classes(self) -> int | None:
        """See above."""
        ...

    @property
    def is_padded(self) -> bool:
        """See above."""
        ...

    def __len__(self) -> int: ...

    def title_of(self, index: int) -> str:
        """Returns the name of record ``index`` for messages."""
        ...

    def read(self, indices: Sequence[int] | np.ndarray) -> sources.Samples:
        """Returns the decoded records at ``indices``."""
        ...


@final
@dataclasses.dataclass(frozen=True, eq=False)
class DecodedImages:
    """A source whose records are decoded on access; see ``open_images``.

    ``num_channels`` is the number of channels before ``channels`` selects some of them.
    """

    source: sources.Source
    canvas: int
    num_channels: int
    on_bad_image: str
    value_range: pixel_options.ValueRange = pixel_options.FULL_RANGE
    page: int | Literal["all"] | None = None
    channels: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        """The name of the source."""
        return self.source.name

    @property
    def num_classes(self) -> int | None:
        """The number of classes of the source."""
        return self.source.num_classes

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the classes by number; None if the source has none."""
        return getattr(self.source, "class_names", None)

    @property
    def fields(self) -> dict[str, Field]:
        """The fields of the source other than the image and the label."""
        return record_fields.extra_fields(self.source)

    @property
    def is_padded(self) -> bool:
        """Whether the images differ in size."""
        return self.source.image_shape is None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape (h, w, c) of every image or padded image."""
        shape = self.source.image_shape
        height, width = shape[:2] if shape else (self.canvas, self.canvas)
        stored = shape[2] if shape else self.num_channels
        return height, width, len(self.channels) if self.channels else stored

    @property
    def options(self) -> tuple[object, ...]:
        """Options besides the shape that determine pixels; empty for the defaults."""
        chosen = (self.value_range, self.page or 0, self.channels)
        return () if chosen == (pixel_options.FULL_RANGE, 0, None) else chosen

    def __len__(self) -> int:
        return len(self.source)

    def title_of(self, index: int) -> str:
        """Returns the name of record ``index`` for messages."""
        return self.source.title_of(index)

    def read(self, indices: Sequence[int] | np.ndarray) -> sources.Samples:
        """Reads and decodes records.

        A record that cannot be decoded is replaced by the first record after it that
        can, so that the batch depends only on the records.

        Args:
          indices: indices of the records, from 0.

        Returns:
          The samples, in the order of ``indices``.

        Raises:
          DataError: if an image is corrupt and ``on_bad_image`` is ``"fail"``, or if
            none of the ``MAX_TRIES`` records after it can be decoded.
        """
        wanted = [int(index) for index in indices]
        images = np.zeros((len(wanted), *self.image_shape), np.uint8)
        sizes = np.zeros((len(wanted), 2), np.int32)
        labels = np.zeros(len(wanted), np.int32)
        extra = {
            name: np.zeros((len(wanted), *field.shape), field.dtype)
            for name, field in self.fields.items()
        }
        shown = np.asarray(wanted, np.int64)
        reasons: list[str] = []
        records = self.source.__getitems__(wanted)
        for row, (index, record) in enumerate(zip(wanted, records, strict=True)):
            try:
                pixels = self._decode(record["image"])
            except decode.CorruptImage as error:
                reasons.append(str(error))
                shown[row], pixels, record = self._replace(index, str(error))
            height, width = pixels.shape[:2]
            images[row, :height, :width] = pixels
            sizes[row] = height, width
            labels[row] = record["label"]
            for name, values in extra.items():
                values[row] = self._field_of(record, name, index)
        return sources.Samples(
            images=images,
            sizes=sizes,
            labels=labels,
            fields=extra,
            shown=shown,
            reasons=pack_reasons(reasons),
        )

    def _field_of(self, record: Mapping[str, Any], name: str, index: int) -> np.ndarray:
        value, wanted = np.asarray(record.get(name, ())), self.fields[name].shape
        if name not in record or value.shape != wanted:
            found = f"has shape {list(value.shape)}" if name in record else "is missing"
            raise errors.DataError(
                f"{self.title_of(index)!r} of {self.name}: the field {name!r} {found}; "
                f"expected shape {list(wanted)}, as the source describes it."
            )
        return value

    def _decode(self, image: np.ndarray | bytes) -> np.ndarray:
        shape = self.image_shape
        if isinstance(image, bytes):
            stored = self.source.image_shape
            num_channels = stored[2] if stored else self.num_channels
            image = decode.decode(
                image,
                num_channels=1 if self.page == "all" else num_channels,
                max_side=self.canvas if self.is_padded else None,
                value_range=self.value_range,
                page=self.page or 0,
            )
        else:
            image = decode.to_bytes(image, self.value_range)
        if self.channels:
            image = image[..., list(self.channels)]
        height, width, channels = image.shape
        fits = height <= shape[0] and width <= shape[1] and channels == shape[2]
        if not (fits if self.is_padded else image.shape == shape):
            raise decode.CorruptImage(f"shape {image.shape} where {shape} was expected")
        return image

    def _replace(
        self, index: int, reason: str
    ) -> tuple[int, np.ndarray, sources.Record]:
        title = f"{self.title_of(index)!r} of {self.name} cannot be read: {reason}"
        if self.on_bad_image == "fail":
            raise errors.DataError(
                f"{title}. Repair or remove it, or set data.on_bad_image=replace."
            )
        for step in range(1, MAX_TRIES + 1):
            candidate = (index + step) % len(self)
            record = self.source.__getitems__([candidate])[0]
            try:
                return candidate, self._decode(record["image"]), record
            except decode.CorruptImage:
                continue
        raise errors.DataError(
            f"{title}. None of the {MAX_TRIES} images after it can be read either, so "
            "it cannot be replaced. Are these images?"
        )


def open_images(
    source: sources.Source,
    *,
    canvas: int = 288,
    num_channels: int = 3,
    on_bad_image: str = "replace",
    value_range: str | tuple[float | int, float | int] = pixel_options.FULL_RANGE,
    page: int | str | None = None,
    channels: Sequence[int] | None = None,
) -> Dataset:
    """Decodes the records of a source to arrays of one shape.

    Args:
      source: the records.
      canvas: side in pixels of the square padded image that images of different sizes
        are decoded into; larger images are scaled down. Unused if all images have the
        same size.
      num_channels: 1 (gray) or 3 (color) for images of different sizes; images of one
        size keep their channels.
      on_bad_image: ``"replace"`` replaces a corrupt image by the next one that can be
        decoded; ``"fail"`` raises an error.
      value_range: which stored values become black and white; see ``pixel_options``.
      page: page of a multi-page image, from 0, or from the end if negative; ``"all"``
        turns each page into a channel and replaces ``num_channels``. None: the first
        page, with a warning if there are more.
      channels: indices of the channels to keep, in this order; None: all.

    Returns:
      The source itself if it is in memory, else a data set that decodes on access.

    Raises:
      UserError: if an option has an invalid value.

    Example:
      >>> from simclr_jax import data
      >>> images = data.open_images(data.open_source("synthetic:8x8x3:32"))
      >>> images.read([0, 5])["images"].shape
      (2, 8, 8, 3)
    """
    checks.check_positive_int("canvas", canvas)
    if num_channels not in (1, 3):
        raise errors.UserError(f"num_channels must be 1 or 3; got {num_channels!r}.")
    if on_bad_image not in ON_BAD_IMAGE:
        raise errors.UserError(
            registry.unknown_name("on_bad_image", on_bad_image, ON_BAD_IMAGE)
        )
    value_range = pixel_options.parse_value_range(value_range)
    if page is not None and page != "all":
        page = pixel_options.parse_page(page)
    if isinstance(source, sources.ArraySource):
        images = pixel_options.convert_arrays(
            source, value_range=value_range, channels=channels
        )
    else:
        if page == "all":
            num_channels = pixel_options.count_pages(source)
        images = DecodedImages(
            source, canvas, num_channels, on_bad_image, value_range, cast(Any, page)
        )
        images = dataclasses.replace(
            images, channels=pixel_options.check_channels(images, channels)
        )
    inspection.warn_of_losses(images)
    return images


def pack_reasons(reasons: list[str]) -> np.ndarray:
    """Encodes the reasons as the bytes stored in ``Samples``."""
    return np.frombuffer(json.dumps(reasons).encode() if reasons else b"", np.uint8)


def unpack_reasons(packed: np.ndarray) -> list[str]:
    """Decodes the reasons, in the order of the rows that were replaced."""
    return json.loads(packed.tobytes()) if packed.size else []


@final
class CorruptImages:
    """Counts the corrupt images of a run and logs each of them once."""

    def __init__(self, images: Dataset):
        """Starts with a count of zero.

        Args:
          images: the records, for the names in log messages.
        """
        self._images = images
        self._named: set[int] = set()
        self._count = 0

    def note(
        self, requested: np.ndarray, shown: np.ndarray, reasons: list[str]
    ) -> None:
        """Counts the replaced images of a batch, and logs those that are new.

        Args:
          requested: indices of the requested records, shape [b].
          shown: indices of the records actually returned, shape [b].
          reasons: one reason for each position where the two differ; empty if these
            images were logged before.
        """
        rows = np.flatnonzero(requested != shown)
        self._count += len(rows)
        for row, reason in zip(rows, reasons, strict=False):
            index = int(requested[row])
            if index not in self._named:
                self._named.add(index)
                _log.warning(
                    "Corrupt image %s: %s. It is replaced by %s.",
                    self._images.title_of(index),
                    reason,
                    self._images.title_of(int(shown[row])),
                )

    def take_count(self) -> int:
        """Returns the number of replaced images since the last call, and resets it."""
        count, self._count = self._count, 0
        return count
