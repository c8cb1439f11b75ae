"""Samples images of a data set and warns of information lost by decoding.

Does not import JAX.
"""

import dataclasses
import io
import logging
import statistics
from typing import Any, final

import numpy as np

from simclr_jax.core import errors

NUM_SAMPLED = 16
"""Number of sampled images; the choice depends only on the number of images."""

SMALL_SPAN = 32
"""Span in gray levels (of 255) below which a warning is logged."""

_CONSTANT_SPAN = 4

_OUTLIERS = (0.1, 99.9)
"""Percentiles that define the span of an image, so that outliers are ignored."""

_log = logging.getLogger("simclr_jax")

_warned: set[str] = set()


@final
@dataclasses.dataclass(frozen=True)
class Stored:
    """Properties of a stored image.

    Attributes:
      num_pages: pages of a TIFF, frames of an animation.
      bits: bits per value.
      is_color: whether it has several channels.
      is_transparent: whether it may have transparent pixels.
      low: smallest value of the first page without outliers; None if unknown.
      high: largest value, likewise.
    """

    num_pages: int = 1
    bits: int = 8
    is_color: bool = False
    is_transparent: bool = False
    low: float | None = None
    high: float | None = None


def describe(image: np.ndarray | bytes) -> Stored:
    """Returns the properties of a stored image; the defaults if it is damaged.

    Args:
      image: as in ``sources.Record``.
    """
    if not isinstance(image, bytes):
        low, high = np.percentile(image, _OUTLIERS)
        bits = 8 * image.dtype.itemsize
        return Stored(1, bits, image.shape[-1] > 1, low=float(low), high=float(high))
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image)) as opened:
            num_pages = getattr(opened, "n_frames", 1)
            bits = _bits(opened, image)
            if opened.mode[0] not in "IF":
                is_color = opened.mode not in ("1", "L")
                return Stored(num_pages, bits, is_color, opened.has_transparency_data)
            low, high = np.percentile(np.asarray(opened), _OUTLIERS)
            return Stored(num_pages, bits, low=float(low), high=float(high))
    except Exception:  # Pillow raises a dozen types of exceptions for damage.
        return Stored()


def warn_of_losses(images: Any) -> None:
    """Warns once of nearly constant images and of pages dropped by decoding.

    Args:
      images: a ``Dataset``; ``NUM_SAMPLED`` of its images are read.
    """
    key = repr((images.name, images.image_shape, getattr(images, "options", ())))
    if key in _warned or not len(images):
        return
    _warned.add(key)
    chosen = np.random.default_rng(0).choice(
        len(images), min(len(images), NUM_SAMPLED), replace=False
    )
    stored, spans = [], []
    for number in sorted(chosen.tolist()):
        try:
            samples = images.read([number])
            source = getattr(images, "source", None)
            image = source.__getitems__([number])[0]["image"] if source else None
        except errors.DataError:  # raised again when the image is used
            continue
        height, width = samples["sizes"][0]
        pixels = samples["images"][0, :height, :width]
        spans.append(np.percentile(pixels, _OUTLIERS))
        stored.append(describe(pixels if image is None else image))
    if stored:
        _warn_of_pages(images, stored)
        _warn_of_small_span(images.name, stored, spans)
        _note_transparency(images.name, stored)


def _warn_of_small_span(
    name: str, stored: list[Stored], spans: list[np.ndarray]
) -> None:
    """Warns if most of the images use only a few gray levels."""
    widths = [float(high - low) for low, high in spans]
    median = statistics.median(widths)
    if median >= SMALL_SPAN:
        return
    is_what = "use a small part of the range"
    if median < _CONSTANT_SPAN:
        is_what = "are nearly constant"
    low = min(span[0] for span in spans)
    high = max(span[1] for span in spans)
    known = [s for s in stored if s.low is not None and s.bits > 8]
    as_stored, proposed = "", f"{low:.0f}:{max(high, low + 1):.0f}"
    if known:
        least = min(s.low for s in known if s.low is not None)
        most = max(s.high for s in known if s.high is not None)
        as_stored = f" Stored values range from {least:g} to {most:g}."
        proposed = f"{least:g}:{most if most > least else least + 1:g}"
    if any(s.bits > 8 and s.is_color for s in stored):
        as_stored += " Of 16-bit color the upper 8 bits are read."
    _log.warning(
        "%s: as the encoder sees them, the images %s. Half of %d sampled ones span at "
        "most %.0f of 255 levels; all lie in %.0f to %.0f.%s Set data.range=%s (one "
        "range for all), data.range=percentiles or data.range=image (each image by its "
        "own), unless this is intended.",
        *(name, is_what, len(spans), median, low, high),
        *(as_stored, proposed),
    )


def _warn_of_pages(images: Any, stored: list[Stored]) -> None:
    """Warns if pages are dropped by default."""
    counts = [s.num_pages for s in stored if s.num_pages > 1]
    if not counts or getattr(images, "page", 0) is not None:
        return
    _log.warning(
        "%s: %d of %d sampled images have several pages (up to %d). Page 0 is read and "
        "the others are dropped. Set data.page=0 to keep it so, another number, or "
        "data.page=all for one channel of each page.",
        *(images.name, len(counts), len(stored), max(counts)),
    )


def _note_transparency(name: str, stored: list[Stored]) -> None:
    count = sum(s.is_transparent for s in stored)
    if count:
        _log.info(
            "%s: %d of %d sampled images have transparency, which becomes white.",
            *(name, count, len(stored)),
        )


def _bits(opened: Any, encoded: bytes) -> int:
    """Returns the bits per value, which Pillow reports only for gray images."""
    if opened.format == "PNG":
        return encoded[24]
    if opened.format == "TIFF":
        bits = opened.tag_v2.get(258, 8)
        return bits[0] if isinstance(bits, tuple) else int(bits)
    return 8
