"""Image files to arrays: upright, of a bounded size, and bad ones told from good ones.

JPEG is decoded by libjpeg-turbo (simplejpeg) at the eighth of its size that the canvas
needs; everything else, and every JPEG out of the ordinary, by Pillow. Nothing global is
changed, so threads may decode at once; both libraries let others run meanwhile.
"""

import io
import struct
import sys
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from simclr_jax.core import errors

if TYPE_CHECKING:
    from PIL import Image

MAX_JPEG_PIXELS = 2**28
"""Pixels of the largest JPEG, for those that are decoded row by row at a smaller scale:
phones write 200 million. For every other file the limit is Pillow's, a third of it."""

MIN_FILL = 0.8
"""The part of ``max_side`` that a JPEG decoded at a multiple of an eighth must reach to
be kept as it is; four eighths or more always do. Below it the image is decoded one
eighth larger and resampled to fill ``max_side``."""

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")


class BadImage(Exception):
    """Bytes that are no image we can or want to read.

    The message is a short reason, e.g. ``"truncated"``; only the caller knows the file.
    """


def decode(
    encoded: bytes, *, num_channels: int = 3, max_side: int | None = None
) -> UInt8[np.ndarray, "h w c"]:
    """Decodes the file of an image.

    The orientation in its Exif block is applied; transparency lies over white; 16 bits
    become 8 by division by 257; floats are taken as [0, 1], or as [0, 255] if one
    exceeds 1; of several frames the first is taken. Gray is the luma of ITU-R 601.

    Args:
      encoded: the bytes of a JPEG (or MPO), PNG, WebP, BMP, TIFF or GIF file.
      num_channels: 3 (RGB) or 1 (gray).
      max_side: the longest side in pixels that the result may have; None: as it is. A
        larger image is scaled down, antialiased and with its aspect kept, so that its
        longest side is ``max_side``, or for a JPEG at least ``MIN_FILL`` of it.

    Returns:
      The pixels, uint8 in [0, 255]. Never larger than the image itself.

    Raises:
      BadImage: if the bytes cannot be decoded, or make more pixels than
        ``MAX_JPEG_PIXELS`` or ``PIL.Image.MAX_IMAGE_PIXELS``.
      UserError: if an option is wrong.
      DataError: if Pillow or simplejpeg is not installed.
    """
    if num_channels not in (1, 3):
        raise errors.UserError(f"num_channels must be 1 or 3; got {num_channels!r}.")
    if max_side is not None and max_side < 1:
        raise errors.UserError(f"max_side must be >= 1 or None; got {max_side!r}.")
    if not encoded:
        raise BadImage("no bytes")
    try:
        pixels = _decode_jpeg(encoded, num_channels, max_side)
        if pixels is not None:
            return pixels
        return _decode_with_pillow(encoded, num_channels, max_side)
    except ModuleNotFoundError as error:
        raise errors.DataError(
            f"Image files need Pillow and simplejpeg. {error}. "
            "Run: pip install pillow simplejpeg"
        ) from error


def _decode_jpeg(
    encoded: bytes, num_channels: int, max_side: int | None
) -> np.ndarray | None:
    """Returns the pixels, or None where it is not for libjpeg-turbo to decide."""
    import simplejpeg
    from PIL import Image

    try:
        header = simplejpeg.decode_jpeg_header(encoded)
    except Exception:
        return None
    if header[2] in ("CMYK", "YCCK"):
        return None
    height, width = int(header[0]), int(header[1])
    exif, is_sequential = _read_segments(encoded)
    # Otherwise the memory needed grows with the image, however small the result.
    is_bounded = is_sequential and max_side is not None
    _check_pixels(height, width, MAX_JPEG_PIXELS if is_bounded else _pillow_limit())
    eighths = _eighths(max(height, width), max_side)
    try:
        pixels = simplejpeg.decode_jpeg(
            encoded,
            "RGB" if num_channels == 3 else "GRAY",
            min_height=-(-height * eighths // 8),  # as libjpeg rounds, so that it
            min_width=-(-width * eighths // 8),  # chooses exactly this scale
        )
    except Exception as error:
        if height * width > _pillow_limit():
            raise BadImage(_reason(error, encoded)) from error
        return None
    if max_side is not None and max(pixels.shape[:2]) > max_side:
        image = Image.fromarray(pixels if num_channels == 3 else pixels[:, :, 0])
        pixels = _pixels_of(image, max_side)
    return _upright(pixels, _orientation(exif))


def _eighths(longest: int, max_side: int | None) -> int:
    """Returns at how many eighths of its size a JPEG is decoded."""
    if max_side is None or longest <= max_side:
        return 8
    eighths = 8 * max_side // longest
    return eighths if longest * eighths >= 8 * MIN_FILL * max_side else eighths + 1


def _read_segments(jpeg: bytes) -> tuple[bytes, bool]:
    """Walks the header of a JPEG, which takes a tenth of the time of a search.

    Returns:
      Its Exif block, empty if there is none; and whether all of its colors come in one
      sequential scan, so that no decoder has to hold the whole image.
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
    """Returns the orientation in an Exif block, 1 to 8; 1 (upright) if it tells none.

    Pillow would take ten times as long, and warn of damage that matters to nobody.
    """
    tiff = exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b""
    try:
        order = {b"II": "<", b"MM": ">"}[tiff[:2]]
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(order + "HH", tiff, entry)
            if tag == 0x0112:
                form = order + ("I" if kind == 4 else "H")
                (value,) = struct.unpack_from(form, tiff, entry + 8)
                return value if 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        pass
    return 1


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undoes an orientation (Exif 2.32, section 4.6.4, tag 274)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _decode_with_pillow(
    encoded: bytes, num_channels: int, max_side: int | None
) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
            _check_pixels(image.height, image.width, _pillow_limit())
            if max_side is not None:  # decodes a JPEG at a smaller scale
                image.draft(None, (max_side, max_side))
            image.load()
            # Known after loading; a TIFF tells none, since it has been turned already.
            orientation = _orientation(image.info.get("exif"))
            pixels = _pixels_of(_flattened(image, num_channels), max_side)
            return _upright(pixels, orientation)
    except BadImage:
        raise
    # Decoders answer damage with a dozen kinds of exception, even IndexError.
    except Exception as error:
        raise BadImage(_reason(error, encoded)) from error


def _flattened(image: "Image.Image", num_channels: int) -> "Image.Image":
    """Returns the image as 8-bit RGB or gray, over white where it is transparent."""
    from PIL import Image

    if image.mode[0] in "IF":
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return image.convert("RGB" if num_channels == 3 else "L")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Brings 16-bit, 32-bit and float gray into [0, 255]."""
    low, high = values.min(), values.max()
    is_float = values.dtype.kind == "f"
    limit = 255 if is_float else 65535
    if not (low >= 0 and high <= limit):  # also where they are NaN
        raise BadImage(f"pixels in [{low:g}, {high:g}], expected [0, {limit}]")
    if is_float:
        return np.rint(values * (255.0 if high <= 1 else 1.0)).astype(np.uint8)
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _pixels_of(image: "Image.Image", max_side: int | None) -> np.ndarray:
    from PIL.Image import Resampling

    if max_side is not None and max(image.size) > max_side:
        # Means over blocks first, then a triangle as wide as what becomes one pixel.
        image.thumbnail((max_side, max_side), Resampling.BILINEAR, reducing_gap=3.0)
    return np.array(image).reshape(image.height, image.width, -1)


def _pillow_limit() -> int:
    from PIL import Image

    return Image.MAX_IMAGE_PIXELS or sys.maxsize


def _check_pixels(height: int, width: int, limit: int) -> None:
    if height * width > limit:
        raise BadImage(f"bomb: {width} x {height} pixels, at most {limit:,} are read")


def _reason(error: Exception, encoded: bytes) -> str:
    from PIL import UnidentifiedImageError

    text = str(error).partition("\n")[0].partition(", could be")[0]
    if isinstance(error, UnidentifiedImageError):
        is_text = encoded[:256].isascii() and b"\0" not in encoded[:256]
        guess = "text?" if is_text else f"it starts with {encoded[:4].hex(' ')}"
        return f"not an image that can be read ({guess})"
    if any(word in text.lower() for word in ("truncat", "premature end")):
        return "truncated"
    kind = "bomb" if "Bomb" in type(error).__name__ else "damaged"
    return f"{kind}: {text[:80] or type(error).__name__}"
