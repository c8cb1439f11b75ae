"""Decoding of image files to upright arrays of bounded size; detects corrupt files.

JPEG files are decoded by libjpeg-turbo (simplejpeg), at the smallest multiple of an
eighth of their size that fills the padded image. All other files, and unusual JPEG
files, are decoded by Pillow. Decoding is thread-safe, and both libraries release the
GIL.
"""

import io
import struct
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import UInt8

from simclr_jax.core import errors
from simclr_jax.data import pixel_options

if TYPE_CHECKING:
    from PIL import Image

MAX_JPEG_PIXELS = 2**28
"""Largest number of pixels of a JPEG that is decoded row by row at a smaller scale:
phones write 200 million. Other files have the limit of Pillow, a third of this."""

MIN_FILL = 0.8
"""Smallest fraction of ``max_side`` that a JPEG decoded at a multiple of an eighth may
have; four eighths or more always reach it. Otherwise the image is decoded one eighth
larger and resampled to fill ``max_side``."""

_SAMPLES_PER_PIXEL = 277

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")


class CorruptImage(Exception):
    """Raised for bytes that cannot be decoded as an image.

    The message is a short reason such as ``"truncated"``, without the file name.
    """


def decode(
    encoded: bytes,
    *,
    num_channels: int = 3,
    max_side: int | None = None,
    value_range: pixel_options.ValueRange = pixel_options.FULL_RANGE,
    page: int | Literal["all"] = 0,
) -> UInt8[np.ndarray, "h w c"]:
    """Decodes an image file.

    The Exif orientation is applied, transparent images are composed over white, and
    more than 8 bits are converted to 8 according to ``value_range``. Gray is the luma
    of ITU-R 601.

    Args:
      encoded: the bytes of a JPEG (or MPO), PNG, WebP, BMP, TIFF or GIF file.
      num_channels: 3 (RGB) or 1 (gray).
      max_side: longest allowed side in pixels; None: no limit. A larger image is scaled
        down, antialiased and with its aspect ratio, so that its longest side is
        ``max_side``, or for a JPEG at least ``MIN_FILL`` of it.
      value_range: which values become 0 and 255; see ``pixel_options``.
      page: page of a TIFF or frame of an animation, from 0, or from the end if
        negative; ``"all"`` turns each page into a channel and replaces
        ``num_channels``.

    Returns:
      The pixels, uint8 in [0, 255]. Images are never enlarged.

    Raises:
      CorruptImage: if the bytes cannot be decoded, or have more pixels than
        ``MAX_JPEG_PIXELS`` or ``PIL.Image.MAX_IMAGE_PIXELS``.
      UserError: if an option is invalid.
      DataError: if Pillow or simplejpeg is not installed.
    """
    if num_channels not in (1, 3):
        raise errors.UserError(f"num_channels must be 1 or 3; got {num_channels!r}.")
    if max_side is not None and max_side < 1:
        raise errors.UserError(f"max_side must be >= 1 or None; got {max_side!r}.")
    if not encoded:
        raise CorruptImage("no bytes")
    try:
        pixels = None if page else _decode_jpeg(encoded, num_channels, max_side)
        if pixels is not None:
            return to_bytes(pixels, value_range)
        return _decode_with_pillow(encoded, num_channels, max_side, value_range, page)
    except ModuleNotFoundError as error:
        raise errors.DataError(
            f"Image files need Pillow and simplejpeg. {error}. "
            "Run: pip install pillow simplejpeg"
        ) from error


def _decode_jpeg(
    encoded: bytes, num_channels: int, max_side: int | None
) -> np.ndarray | None:
    """Returns the pixels, or None if Pillow must decode the file."""
    import simplejpeg

    try:
        header = simplejpeg.decode_jpeg_header(encoded)
    except Exception:
        return None
    if header[2] in ("CMYK", "YCCK"):
        return None
    height, width = int(header[0]), int(header[1])
    exif, is_sequential = _read_segments(encoded)
    # Otherwise memory is proportional to the image, however small the result.
    is_bounded = is_sequential and max_side is not None
    _check_pixels(height, width, MAX_JPEG_PIXELS if is_bounded else _pillow_limit())
    eighths = _eighths(max(height, width), max_side)
    try:
        pixels = simplejpeg.decode_jpeg(
            encoded,
            "RGB" if num_channels == 3 else "GRAY",
            min_height=-(-height * eighths // 8),  # rounded like libjpeg, so that it
            min_width=-(-width * eighths // 8),  # chooses exactly this scale
        )
    except Exception as error:
        if height * width > _pillow_limit():
            raise CorruptImage(_reason(error, encoded)) from error
        return None
    return _upright(_fitted(pixels, max_side), _orientation(exif))


def _eighths(longest: int, max_side: int | None) -> int:
    """Returns the scale at which a JPEG is decoded, in eighths."""
    if max_side is None or longest <= max_side:
        return 8
    eighths = 8 * max_side // longest
    return eighths if longest * eighths >= 8 * MIN_FILL * max_side else eighths + 1


def _read_segments(jpeg: bytes) -> tuple[bytes, bool]:
    """Reads the header segments of a JPEG, in a tenth of the time of a search.

    Returns:
      The Exif block, empty if there is none; and whether one sequential scan holds all
      colors, so that the decoder need not hold the whole image.
    """
    exif, num_colors, position = b"", None, 2
    while position + 10 <= len(jpeg) and jpeg[position] == 0xFF:
        marker = jpeg[position + 1]
        if marker == 0xFF:  # a byte of padding
            position += 1
            continue
        if marker == 0xDA:  # start of the first scan, with the number of its colors
            return exif, jpeg[position + 4] == num_colors
        length = int.from_bytes(jpeg[position + 2 : position + 4], "big")
        if marker == 0xE1 and not exif and jpeg.startswith(b"Exif\0\0", position + 4):
            exif = jpeg[position + 4 : position + 2 + length]
        elif marker in (0xC0, 0xC1):  # a sequential frame
            num_colors = jpeg[position + 9]
        position += 2 + length
    return exif, False


def _orientation(exif: object) -> int:
    """Returns the orientation in an Exif block, 1 to 8; 1 (upright) if it is missing.

    Pillow would take ten times as long, and warn of irrelevant damage.
    """
    tiff = exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b""
    value = _read_tag(tiff, 0x0112)
    return value if value and 1 <= value <= 8 else 1


def _read_tag(tiff: bytes, wanted: int) -> int | None:
    """Returns the value of a tag in the first page of a TIFF; None if it is missing."""
    try:
        order = {b"II": "<", b"MM": ">"}[tiff[:2]]
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(order + "HH", tiff, entry)
            if tag == wanted:
                form = order + ("I" if kind == 4 else "H")
                return struct.unpack_from(form, tiff, entry + 8)[0]
    except (KeyError, struct.error):
        pass
    return None


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Rotates pixels to be upright (Exif 2.32, section 4.6.4, tag 274)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _decode_with_pillow(
    encoded: bytes,
    num_channels: int,
    max_side: int | None,
    value_range: pixel_options.ValueRange,
    page: int | Literal["all"],
) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
            _check_pixels(image.height, image.width, _pillow_limit())
            if max_side is not None:  # decodes a JPEG at a smaller scale
                image.draft(None, (max_side, max_side))
            planes = [
                _flattened(frame, 1 if page == "all" else num_channels)
                for frame in _pages(image, page)
            ]
            # Known only after loading; Pillow has already rotated TIFF files.
            orientation = _orientation(image.info.get("exif"))
            values = planes[0] if page != "all" else _stacked(planes)
            pixels = _fitted(to_bytes(values, value_range), max_side)
            return _upright(pixels, orientation)
    except CorruptImage:
        raise
    # Decoders raise a dozen types of exceptions for damage, even IndexError.
    except Exception as error:
        raise CorruptImage(_reason(error, encoded)) from error


def _pages(image: "Image.Image", page: int | Literal["all"]) -> Iterator["Image.Image"]:
    """Loads and yields the requested page, or all pages."""
    if page == 0:
        numbers = range(1)
    else:
        count = getattr(image, "n_frames", 1)
        numbers = range(count) if page == "all" else [page + count * (page < 0)]
        if not 0 <= numbers[0] < count:
            raise CorruptImage(f"it has {count} pages, but page {page} was requested")
    for number in numbers:
        if number:
            image.seek(number)
        _check_pixels(image.height, image.width, _pillow_limit())
        image.load()
        yield image


def _flattened(image: "Image.Image", num_channels: int) -> np.ndarray:
    """Converts an image to RGB or gray, composed over white if it is transparent.

    Returns:
      uint8 [h w 3] or [h w 1]; gray of more than 8 bits keeps its type and is repeated
      for three channels.
    """
    from PIL import Image

    if image.mode[0] in "IF":
        return np.repeat(np.asarray(image)[..., None], num_channels, axis=2)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    image = image.convert("RGB" if num_channels == 3 else "L")
    return np.array(image).reshape(image.height, image.width, -1)


def to_bytes(values: np.ndarray, value_range: pixel_options.ValueRange) -> np.ndarray:
    """Converts the values of an image to [0, 255]; see ``pixel_options.to_bytes``.

    Raises:
      CorruptImage: if the values are invalid.
    """
    try:
        return pixel_options.to_bytes(values, value_range)
    except ValueError as error:
        raise CorruptImage(str(error)) from error


def _stacked(planes: list[np.ndarray]) -> np.ndarray:
    """Stacks gray pages as the channels of one image."""
    if len({(plane.shape, plane.dtype) for plane in planes}) > 1:
        raise CorruptImage("its pages differ in size or in depth")
    return np.concatenate(planes, axis=2)


def _fitted(pixels: np.ndarray, max_side: int | None) -> np.ndarray:
    """Scales an image down to a longest side; smaller images are returned unchanged."""
    from PIL import Image

    if max_side is None or max(pixels.shape[:2]) <= max_side:
        return pixels
    if pixels.shape[2] == 3:
        return _pixels_of(Image.fromarray(pixels), max_side)
    planes = [
        _pixels_of(
            Image.fromarray(np.ascontiguousarray(pixels[:, :, channel])), max_side
        )
        for channel in range(pixels.shape[2])
    ]
    return np.concatenate(planes, axis=2)


def _pixels_of(image: "Image.Image", max_side: int) -> np.ndarray:
    from PIL.Image import Resampling

    if max(image.size) > max_side:
        # Block means first, then a triangle filter as wide as one output pixel.
        image.thumbnail((max_side, max_side), Resampling.BILINEAR, reducing_gap=3.0)
    return np.array(image).reshape(image.height, image.width, -1)


def _pillow_limit() -> int:
    from PIL import Image

    return Image.MAX_IMAGE_PIXELS or sys.maxsize


def _check_pixels(height: int, width: int, limit: int) -> None:
    if height * width > limit:
        raise CorruptImage(
            f"bomb: {width} x {height} pixels, at most {limit:,} are read"
        )


def _reason(error: Exception, encoded: bytes) -> str:
    from PIL import UnidentifiedImageError

    text = str(error).partition("\n")[0].partition(", could be")[0]
    num_samples = _read_tag(encoded, _SAMPLES_PER_PIXEL) or 0
    if isinstance(error, UnidentifiedImageError) and num_samples > 4:
        return (
            f"a TIFF of {num_samples} channels in one page; save such images as one "
            ".npy file, or each channel as a page and set data.page=all"
        )
    if isinstance(error, UnidentifiedImageError):
        is_text = encoded[:256].isascii() and b"\0" not in encoded[:256]
        guess = "text?" if is_text else f"it starts with {encoded[:4].hex(' ')}"
        return f"not an image that can be read ({guess})"
    if any(word in text.lower() for word in ("truncat", "premature end")):
        return "truncated"
    kind = "bomb" if "Bomb" in type(error).__name__ else "damaged"
    return f"{kind}: {text[:80] or type(error).__name__}"
