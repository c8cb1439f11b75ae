"""Choices among the pages and channels of images, and their checks. No jax here."""

import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from simclr_jax.core import errors
from simclr_jax.data import value_range as ranges
from simclr_jax.data.sources import base as sources

_TRIED = 20
"""Records that are looked at for one that tells the number of pages."""


def parse_page(page: int | str) -> int:
    """Returns the number of a page, also where an option writes it as text.

    Raises:
      UserError: if it is no whole number.
    """
    try:
        return int(page)
    except ValueError as error:
        raise errors.UserError(
            f"data.page must be the number of a page, from 0, or all; got {page!r}."
        ) from error


def count_pages(source: sources.Source) -> int:
    """Returns the number of pages of the first image of a source that can be opened.

    Raises:
      UserError: if the images are arrays, or all of one size: those have no pages.
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
        except Exception:  # Of damage there are a dozen kinds; the next may be whole.
            continue
    raise errors.DataError(
        f"{source.name}: none of its first {_TRIED} images can be opened, so that the "
        "number of pages is not known. Are these images?"
    )


def check_channels(
    images: Any, channels: Sequence[int] | None
) -> tuple[int, ...] | None:
    """Returns the numbers of channels as a tuple; None for all.

    Args:
      images: a ``Decoded`` with all its channels.
      channels: their numbers, from 0.

    Raises:
      UserError: if there is no such channel.
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


def of_arrays(
    source: sources.ArraySource,
    *,
    value_range: ranges.Range = ranges.FULL,
    channels: Sequence[int] | None = None,
) -> sources.ArraySource:
    """Applies a range and a choice of channels to images in memory.

    Args:
      source: the images. A range that made them bytes is not applied again.
      value_range: see ``value_range``.
      channels: see ``check_channels``.

    Returns:
      The source itself where there is nothing to do.
    """
    numbers = check_channels(source, channels)
    is_stretched = value_range not in (ranges.FULL, source.value_range)
    if numbers is None and not is_stretched:
        return source
    images = source.images if numbers is None else source.images[..., list(numbers)]
    if is_stretched:
        stretched = np.empty(images.shape, np.uint8)
        for number, image in enumerate(images):
            stretched[number] = ranges.to_bytes(image, value_range)
        images = stretched
    # Not a copy of the source itself, which may read its images from a file again.
    kept = {
        field.name: getattr(source, field.name)
        for field in dataclasses.fields(sources.ArraySource)
    }
    return sources.ArraySource(**kept | {"images": images, "value_range": value_range})
