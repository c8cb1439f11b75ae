import concurrent.futures
import struct
import sys
import time
import tracemalloc

import numpy as np
import pytest
from pictures import (
    encode,
    exif_block,
    png,
    smooth,
)
from PIL import Image

from simclr_jax.core import errors
from simclr_jax.data import decode


def resized_header(jpeg, height, width):
    """Writes another size into the header of a JPEG."""
    at = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2")) + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


@pytest.mark.parametrize(
    ("encoded", "max_side"),
    [
        (png(60000, 60000, bytes(3_000_000)), 288),
        (png(60000, 60000, bytes(3_000_000)), None),
        (png(9500, 9500, bytes(3_000_000)), 288),
        (resized_header(encode(smooth(16, 16)), 60000, 60000), 288),
        (resized_header(encode(smooth(16, 16)), 9500, 9500), None),
        (resized_header(encode(smooth(16, 16), progressive=True), 9500, 9500), 288),
    ],
    ids=["png", "png_whole", "png_warned", "jpeg", "jpeg_whole", "jpeg_progressive"],
)
def test_rejects_decompression_bombs_without_decoding(encoded, max_side):
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(decode.CorruptImage, match=r"^bomb: .*pixels"):
        decode.decode(encoded, max_side=max_side)
    assert time.perf_counter() - start < 1.0
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_decodes_a_large_jpeg_in_one_scan():
    # Of these 90 million pixels only the header is true, which is found out quickly.
    encoded = resized_header(encode(smooth(16, 16)), 9500, 9500)
    start = time.perf_counter()
    with pytest.raises(decode.CorruptImage, match="truncated"):
        decode.decode(encoded, max_side=288)
    assert time.perf_counter() - start < 2.0


def test_uses_the_limit_of_pillow(monkeypatch):
    encoded = encode(smooth(10, 10), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert decode.decode(encoded).shape == (10, 10, 3)
    jpeg = encode(smooth(10, 10))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
    assert decode.decode(jpeg, max_side=8).shape == (8, 8, 3)
    for bad in (encoded, jpeg):
        with pytest.raises(decode.CorruptImage, match=r"^bomb"):
            decode.decode(bad)


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (b"", "no bytes"),
        (bytes(1000), "it starts with 00 00 00 00"),
        (b"Not found.\n", r"text\?"),
        (b"<!DOCTYPE html><html><body>404</body></html>", r"text\?"),
        (b"\xff\xd8", "ff d8"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "truncated"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "25 50 44 46"),
        (b"\x89PNG\r\n\x1a\n", "."),
        (b"GIF89a" + bytes(20), "."),
        (png(0, 0, b""), "."),
        (resized_header(encode(smooth(16, 16)), 0, 16), "."),
    ],
)
def test_reports_why_bytes_are_no_image(encoded, reason):
    with pytest.raises(decode.CorruptImage, match=reason) as caught:
        decode.decode(encoded)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 120
    assert not isinstance(caught.value, errors.UserError)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_half_a_file_is_a_corrupt_image(form):
    encoded = encode(smooth(200, 300), form)
    with pytest.raises(decode.CorruptImage):
        decode.decode(encoded[: len(encoded) // 2], max_side=100)


def test_a_truncated_jpeg_is_reported_as_such():
    with pytest.raises(decode.CorruptImage, match=r"^truncated$"):
        decode.decode(encode(smooth(200, 300))[:-800])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "MPO"])
# Warnings of Pillow about what is damaged are not what is tested here.
@pytest.mark.filterwarnings("ignore")
def test_damage_raises_only_corrupt_image(form):
    rng = np.random.default_rng(7)
    exif = {} if form in ("BMP", "GIF") else {"exif": exif_block(6)}
    encoded = encode(smooth(40, 60), form, **exif)
    for trial in range(300):
        damaged = bytearray(encoded)
        # Half of the damage is in the header, where it does the most.
        end = len(damaged) if trial % 2 else min(len(damaged), 200)
        for position in rng.integers(0, end, rng.integers(1, 6)):
            damaged[position] = rng.integers(0, 256)
        if trial % 3 == 0:
            damaged = damaged[: rng.integers(0, len(damaged))]
        if trial % 7 == 0:
            start = rng.integers(0, len(damaged) + 1)
            damaged[start : start + 30] = bytes(len(damaged[start : start + 30]))
        try:
            pixels = decode.decode(bytes(damaged), max_side=50)
        except decode.CorruptImage as error:
            assert str(error)
        else:
            assert pixels.dtype == np.uint8 and max(pixels.shape) <= 50


def test_threads_decode_the_same_pixels():
    files = [
        encode(smooth(300, 200 + i), form)
        for i in range(12)
        for form in ("JPEG", "PNG", "WEBP")
    ]
    alone = [decode.decode(encoded, max_side=64) for encoded in files]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda e: decode.decode(e, max_side=64), files * 4))
    for index, pixels in enumerate(together):
        np.testing.assert_array_equal(pixels, alone[index % len(alone)])


def test_rejects_wrong_options_and_missing_packages(monkeypatch):
    encoded = encode(smooth(8, 8))
    with pytest.raises(errors.UserError, match=r"num_channels must be 1 or 3; got 4"):
        decode.decode(encoded, num_channels=4)
    with pytest.raises(errors.UserError, match="max_side must be >= 1 or None; got 0"):
        decode.decode(encoded, max_side=0)
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    with pytest.raises(errors.DataError, match="pip install pillow simplejpeg"):
        decode.decode(encoded)


def test_damaged_photos(photos):
    rng = np.random.default_rng(3)
    for encoded in photos[::8]:
        with pytest.raises(decode.CorruptImage):
            decode.decode(encoded[: rng.integers(0, len(encoded) * 9 // 10)])
