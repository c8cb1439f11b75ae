"""Options that select pixels: ``value_range``, ``page`` and ``channels``.

Cameras and microscopes store 12 or 14 bits in 16-bit files, or use a small part of the
range: scaled by the range of the type, such images are black. ``value_range`` selects
the values that become black and white:

===============  =======================================================================
value            black and white
===============  =======================================================================
``full``         the range of the type: 0 and 65,535 for 16 bits, 0 and 1 for floats
``LOW:HIGH``     these values for all images, as in ``"0:4095"``
``image``        the smallest and the largest value of each image
``percentiles``  the 1st and the 99th percentile of each image
===============  =======================================================================

Values outside the range are clipped. All channels of an image share one range. Does not
import JAX.
"""

import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from simclr_jax.core import errors
from simclr_jax.data.sources import base as sources

FULL_RANGE = "full"
PER_IMAGE = {"image": (0.0, 100.0), "percentiles": (1.0, 99.0)}

ValueRange = str | tuple[float, float]
"""A name in the table above, or the two values that become 0 and 255."""


def parse_value_range(option: str | tuple[float | int, float | int]) -> ValueRange:
    """Parses a range: a name, ``"LOW:HIGH"``, or a pair of numbers.

    Raises:
      UserError: if the option has another form, or LOW is not below HIGH.
    """
    if option == FULL_RANGE or option in PER_IMAGE:
        return option
    parts = option.split(":") if isinstance(option, str) else list(option)
    try:
        low, high = (float(part) for part in parts)
        if low < high and np.isfinite([low, high]).all():
            return low, high
    except (TypeError, ValueError):
        pass
    raise errors.UserError(
        f"data.range must be {FULL_RANGE}, {', '.join(PER_IMAGE)} or LOW:HIGH with LOW "
        f"below HIGH, e.g. 0:4095; got {option!r}."
    )


def to_bytes(values: np.ndarray, value_range: ValueRange = FULL_RANGE) -> np.ndarray:
    """Converts the values of one image to [0, 255].

    Args:
      values: pixels of any real type and shape.
      value_range: a result of ``parse_value_range``. ``"full"`` interprets integers as
        16 bits, and floating-point numbers as [0, 1], or as [0, 255] if a value exceeds
        1.

    Returns:
      uint8, of the same shape; ``values`` itself if it is uint8 and the range is full.

    Raises:
      ValueError: if a value is not finite or, with ``"full"``, beyond the type's range.
    """
    if value_range == FULL_RANGE:
        return values if values.dtype == np.uint8 else _full(values)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("pixels that are not finite")
    if isinstance(value_range, str):
        low, high = np.percentile(values, PER_IMAGE[value_range])
    else:
        low, high = value_range
    scale = 255.0 / (high - low) if high > low else 0.0
    scaled = (values.astype(np.float64) - low) * scale
    return np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)


def _full(values: np.ndarray) -> np.ndarray:
    """Converts 16-bit, 32-bit and floating-point gray to [0, 255]."""
    low, high = values.min(), values.max()
    is_float = values.dtype.kind == "f"
    limit = 255 if is_float else 65535
    if not (low >= 0 and high <= limit):  # also where they are NaN
        raise ValueError(
            f"pixels in [{low:g}, {high:g}], expected [0, {limit}]; data.range gives "
            "another range"
        )
    if is_float:
        return np.rint(values * (255.0 if high <= 1 else 1.0)).astype(np.uint8)
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


_TRIED = 20
"""Number of records that are tried for one that has a number of pages."""


def parse_page(page: int | str) -> int:
    """Parses the index of a page, a number or text.

    Raises:
      UserError: if it is not an integer.
    """
    try:
        return int(page)
    except ValueError as error:
        raise errors.UserError(
            f"data.page must be the number of a page, from 0, or all; got {page!r}."
        ) from error


def count_pages(source: sources.Source) -> int:
    """Counts the pages of the first image of a source that can be opened.

    Raises:
      UserError: if the images have one size or are arrays, which have no pages.
      DataError: if none of the first images can be opened.
    """
    from PIL import Image

    if source.image_shape is not None:
        raise errors.UserError(
            f"data.page=all needs image files of many sizes; those of {source.name} "
            f"have the shape {source.image_shape}. data.channels chooses channels."
        )
    for number in range(min(_TRIED, len(source))):
        image = source.__getitems__([number])[0]["image"]
        if not isinstance(image, bytes):
            continue
        try:
            with Image.open(io.BytesIO(image)) as opened:
                return getattr(opened, "n_frames", 1)
        except Exception:  # Damaged (a dozen types); the next image may be intact.
            continue
    raise errors.DataError(
        f"{source.name}: none of its first {_TRIED} images can be opened, so the "
        "number of pages is unknown. Are these images?"
    )


def check_channels(
    images: Any, channels: Sequence[int] | None
) -> tuple[int, ...] | None:
    """Returns the indices of the selected channels as a tuple; None for all.

    Args:
      images: a ``Dataset`` with all its channels.
      channels: indices of channels, from 0.

    Raises:
      UserError: if a channel does not exist.
    """
    if channels is None:
        return None
    count = images.image_shape[2]
    numbers = tuple(int(number) for number in channels)
    if not numbers or not all(0 <= number < count for number in numbers):
        raise errors.UserError(
            f"data.channels must be numbers from 0 to {count - 1}, since the images of "
            f"{images.name} have {count} channels; got {numbers}."
        )
    return numbers


def convert_arrays(
    source: sources.ArraySource,
    *,
    value_range: ValueRange = FULL_RANGE,
    channels: Sequence[int] | None = None,
) -> sources.ArraySource:
    """Applies a value range and a selection of channels to images in memory.

    Args:
      source: the images. A range that was already applied is not applied again.
      value_range: see the module docstring.
      channels: see ``check_channels``.

    Returns:
      The converted source; the source itself if nothing changes.
    """
    numbers = check_channels(source, channels)
    is_stretched = value_range not in (FULL_RANGE, source.value_range)
    if numbers is None and not is_stretched:
        return source
    images = source.images if numbers is None else source.images[..., list(numbers)]
    if is_stretched:
        stretched = np.empty(images.shape, np.uint8)
        for number, image in enumerate(images):
            stretched[number] = to_bytes(image, value_range)
        images = stretched
    # Not dataclasses.replace: a subclass may read its images from a file again.
    kept = {
        field.name: getattr(source, field.name)
        for field in dataclasses.fields(sources.ArraySource)
    }
    return sources.ArraySource(**kept | {"images": images, "value_range": value_range})
