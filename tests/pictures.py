"""Pictures for the tests of decoding, and what Pillow alone makes of them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

# Two builds of libjpeg-turbo differ by rounding: levels of 255.
ROUNDING = 2
# Mean absolute difference of a scaled decode and Pillow's, in levels: of pictures
# without detail (at an eighth the edge may be off by seven pixels of the original); of
# any photo at 1, 2 or 4 eighths; of all photos.
SMOOTH, HALVES, PHOTOS = 3.0, 2.0, 3.0


def smooth(height, width, channels=3):
    """A picture of a few waves, whatever its size; no two corners are alike."""
    rows, columns = np.mgrid[:height, :width] * (7 / max(height, width))
    planes = [
        127 + 100 * np.sin(rows + 2 * c) * np.cos(columns * (1 + c / 3)) + c * 9
        for c in range(channels)
    ]
    return np.stack(planes, axis=-1).astype(np.uint8)


def encode(pixels, form="JPEG", **options):
    """Returns the bytes of a file that Pillow writes of an array or an image."""
    if isinstance(pixels, np.ndarray):
        pixels = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    file = io.BytesIO()
    pixels.save(file, form, **options)
    return file.getvalue()


def opened(encoded, mode="RGB"):
    """What Pillow alone makes of a file, upright."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded)))
    pixels = np.asarray(image.convert(mode))
    return pixels if mode == "RGB" else pixels[:, :, None]


def distance(a, b):
    return np.abs(a.astype(int) - b.astype(int))


def shrunk(whole, shape):
    """What Pillow makes of the whole image: libjpeg's scaling if by eighths.

    By 1, 2 or 4 eighths that takes means; by others it cuts the spectrum off, which is
    near to Lanczos. The last row and column stand for what is beyond the image too.
    """
    height, width, channels = whole.shape
    for eighths in range(1, 9):
        if shape[:2] == (-(-height * eighths // 8), -(-width * eighths // 8)):
            beyond = ((0, -height % 8), (0, -width % 8), (0, 0))
            whole = np.pad(whole, beyond, mode="edge")
            method = Image.Resampling.LANCZOS
            if eighths in (1, 2, 4, 8):
                method = Image.Resampling.BOX
            size = [side * eighths // 8 for side in whole.shape[1::-1]]
            break
    else:
        size, method = shape[1::-1], Image.Resampling.BILINEAR
    planes = [
        np.asarray(Image.fromarray(whole[..., c]).resize(size, method))
        for c in range(channels)
    ]
    return np.stack(planes, axis=-1)[: shape[0], : shape[1]]


def exif_block(orientation, *, order=">", kind=3):
    value = struct.pack(order + ("I" if kind == 4 else "Hxx"), orientation)
    entries = struct.pack(order + "HHI4s", 0x010F, 2, 4, b"abc\0")
    entries += struct.pack(order + "HHI", 0x0112, kind, 1) + value
    head = (b"MM" if order == ">" else b"II") + struct.pack(order + "HI", 42, 8)
    return b"Exif\0\0" + head + struct.pack(order + "H", 2) + entries + bytes(4)


def png(width, height, rows, *, bit_depth=8):
    """A color PNG of these rows, whatever size its header tells."""

    def chunk(name, body):
        crc = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + crc

    head = struct.pack(">IIBBBBB", width, height, bit_depth, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )
