import concurrent.futures
import io
import os
import pathlib
import struct
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pytest

from simclr_jax.core import errors
from simclr_jax.data import decode

Image = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")
simplejpeg = pytest.importorskip("simplejpeg")

# Two builds of libjpeg-turbo differ by rounding: levels of 255.
ROUNDING = 2
# Mean absolute difference of a scaled decode and Pillow's, in levels: of pictures
# without detail (at an eighth the edge may be off by seven pixels of the original); of
# any photo at 1, 2 or 4 eighths; of all photos.
SMOOTH, HALVES, PHOTOS = 3.0, 2.0, 3.0


@pytest.fixture(scope="module")
def photos():
    folder = pathlib.Path(os.environ.get("SIMCLR_DATA_DIR", ""), "photos")
    if not os.environ.get("SIMCLR_DATA_DIR") or not folder.is_dir():
        pytest.skip("SIMCLR_DATA_DIR does not name a folder with photos/ in it")
    return [path.read_bytes() for path in sorted(folder.iterdir())]


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


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (8, 8), (37, 53), (301, 200)])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_at_full_scale_is_what_pillow_decodes(shape, subsampling, progressive):
    encoded = encode(
        smooth(*shape), quality=90, subsampling=subsampling, progressive=progressive
    )
    for mode, num_channels in (("RGB", 3), ("L", 1)):
        pixels = decode.decode(encoded, num_channels=num_channels, max_side=301)
        assert pixels.dtype == np.uint8 and pixels.shape == (*shape, num_channels)
        assert pixels.flags.c_contiguous and pixels.flags.writeable
        assert distance(pixels, opened(encoded, mode)).max() <= ROUNDING


def test_gray_jpeg_in_either_number_of_channels():
    encoded = encode(smooth(60, 90, 1), quality=95)
    gray = decode.decode(encoded, num_channels=1)
    assert distance(gray, opened(encoded, "L")).max() <= ROUNDING
    color = decode.decode(encoded, num_channels=3)
    np.testing.assert_array_equal(color, np.repeat(gray, 3, axis=2))


def test_cmyk_jpeg_is_pillows():
    encoded = encode(Image.fromarray(smooth(64, 640)).convert("CMYK"))
    np.testing.assert_array_equal(decode.decode(encoded), opened(encoded))
    assert decode.decode(encoded, max_side=64).shape == (6, 64, 3)


@pytest.mark.parametrize("longest", [*range(60, 140, 7), 301, 500, 641, 1001, 3000])
@pytest.mark.parametrize("num_channels", [1, 3])
def test_a_large_jpeg_fills_the_side_and_keeps_its_aspect(longest, num_channels):
    max_side, shortest = 64, longest * 2 // 3
    encoded = encode(smooth(longest, shortest), quality=95)
    pixels = decode.decode(encoded, num_channels=num_channels, max_side=max_side)
    height, width, channels = pixels.shape
    assert channels == num_channels
    assert decode.MIN_FILL * min(max_side, longest) <= height <= max_side
    assert abs(width - height * shortest / longest) <= 1
    whole = opened(encoded, "L" if num_channels == 1 else "RGB")
    assert distance(pixels, shrunk(whole, pixels.shape)).mean() < SMOOTH


@pytest.mark.parametrize("longest", range(1, 700, 3))
def test_the_scale_is_the_largest_eighth_that_fits_or_one_more(longest):
    for max_side in (1, 7, 64, 288):
        eighths = decode._eighths(longest, max_side)
        sides = [-(-longest * m // 8) for m in range(9)]
        fitting = max(m for m in range(9) if sides[m] <= max_side)
        if eighths == fitting:
            full = eighths == 8 or sides[eighths] >= decode.MIN_FILL * max_side
            assert full
        else:
            assert eighths == fitting + 1 <= 4
            assert longest * fitting / 8 < decode.MIN_FILL * max_side


@pytest.mark.parametrize("size", [(375, 500), (333, 17), (9, 70), (1, 64), (63, 64)])
def test_simplejpeg_decodes_at_the_scale_asked_for(size, monkeypatch):
    calls = []
    real = simplejpeg.decode_jpeg

    def spy(*args, **options):
        calls.append(real(*args, **options))
        return calls[-1]

    monkeypatch.setattr(simplejpeg, "decode_jpeg", spy)
    encoded = encode(smooth(*size))
    for eighths in range(1, 9):
        monkeypatch.setattr(decode, "_eighths", lambda *_, e=eighths: e)
        decode.decode(encoded, max_side=500)
        expected = tuple(-(-side * eighths // 8) for side in size)
        assert calls[-1].shape[:2] == expected


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("max_side", [None, 20])
def test_every_orientation_of_a_jpeg(orientation, max_side):
    for order, kind in (("<", 3), (">", 3), ("<", 4), (">", 4)):
        exif = exif_block(orientation, order=order, kind=kind)
        encoded = encode(smooth(32, 48), exif=exif, quality=95)
        pixels = decode.decode(encoded, max_side=max_side)
        assert pixels.flags.c_contiguous
        expected = opened(encoded)
        if max_side is None:
            assert distance(pixels, expected).max() <= ROUNDING
        else:
            assert distance(pixels, shrunk(expected, pixels.shape)).mean() < SMOOTH


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "MPO"])
def test_every_orientation_of_other_formats(orientation, form):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if form == "WEBP" else {}
    encoded = encode(smooth(32, 48), form, exif=exif, **options)
    np.testing.assert_array_equal(decode.decode(encoded), opened(encoded))


def test_the_exif_block_is_found_behind_other_segments():
    jpeg = encode(smooth(16, 24))
    other = b"\xff\xed" + struct.pack(">H", 2002) + b"\xff\xda" * 1000
    exif = exif_block(6)
    block = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    encoded = jpeg[:2] + other + b"\xff" + block + jpeg[2:]
    assert decode.decode(encoded).shape == (24, 16, 3)
    np.testing.assert_array_equal(
        decode.decode(encoded), np.rot90(decode.decode(jpeg), -1)
    )


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"Exif\0\0XX" + exif_block(6)[8:],
        exif_block(9),
        exif_block(0),
        exif_block(6)[:22],
    ],
)
def test_damaged_exif_leaves_a_good_image_as_it_is(exif):
    encoded = encode(smooth(16, 24), exif=exif)
    assert decode.decode(encoded).shape == (16, 24, 3)


def test_text_named_exif_in_a_png_is_no_orientation():
    text = pytest.importorskip("PIL.PngImagePlugin").PngInfo()
    text.add_text("exif", "II*")
    encoded = encode(smooth(16, 24), "PNG", pnginfo=text)
    assert decode.decode(encoded).shape == (16, 24, 3)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF", "WEBP"])
@pytest.mark.parametrize("num_channels", [1, 3])
def test_other_formats_are_what_pillow_decodes(form, num_channels):
    encoded = encode(smooth(30, 40), form)
    pixels = decode.decode(encoded, num_channels=num_channels)
    expected = opened(encoded, "L" if num_channels == 1 else "RGB")
    np.testing.assert_array_equal(pixels, expected)
    small = decode.decode(encoded, num_channels=num_channels, max_side=20)
    assert small.shape == (15, 20, num_channels)
    for channel in range(num_channels):
        plane = Image.fromarray(expected[..., channel])
        plane = np.asarray(plane.resize((20, 15), Image.Resampling.BILINEAR))
        assert distance(small[..., channel], plane).max() <= ROUNDING


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
def test_opaque_modes(mode):
    image = Image.fromarray(smooth(20, 30)).convert(mode)
    form = "PNG" if mode in ("1", "L", "P", "RGB") else "TIFF"
    encoded = encode(image, form)
    np.testing.assert_array_equal(decode.decode(encoded), opened(encoded))
    gray = decode.decode(encoded, num_channels=1)
    assert gray.shape == (20, 30, 1)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_alpha_lies_over_white(mode, form):
    color, alpha = smooth(20, 30), smooth(20, 30, 2)[..., 1]
    image = Image.fromarray(color).convert(mode[:-1])
    image.putalpha(Image.fromarray(alpha))
    part = alpha[..., None] / 255
    base = np.asarray(image.convert("RGB")).astype(float)
    expected = base * part + 255 * (1 - part)
    assert np.abs(decode.decode(encode(image, form)) - expected).max() <= 1


def test_transparent_palette_entries_and_colors_are_white():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    for form in ("PNG", "GIF"):
        pixels = decode.decode(encode(image, form, transparency=1))
        np.testing.assert_array_equal(pixels[0], [[10, 20, 30], [255, 255, 255]])
    color = Image.new("RGB", (1, 1), (1, 2, 3))
    encoded = encode(color, "PNG", transparency=(1, 2, 3))
    assert decode.decode(encoded).min() == 255


@pytest.mark.parametrize(("form", "dtype"), [("PNG", "<u2"), ("TIFF", ">u2")])
def test_sixteen_bits_are_scaled_and_not_clipped(form, dtype):
    values = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    encoded = encode(Image.fromarray(values.astype(dtype)), form)
    expected = np.rint(values / 257).astype(np.uint8)[:, :, None]
    np.testing.assert_array_equal(decode.decode(encoded, num_channels=1), expected)
    np.testing.assert_array_equal(decode.decode(encoded), expected.repeat(3, axis=2))


def test_wide_integers_and_floats_have_a_range():
    def gray(values):
        image = Image.fromarray(np.array([values]))
        return decode.decode(encode(image, "TIFF"), num_channels=1).ravel().tolist()

    assert gray(np.array([0, 257, 65535], np.int32)) == [0, 1, 255]
    assert gray(np.array([0, 0.5, 1], np.float32)) == [0, 128, 255]
    assert gray(np.array([0, 0.5, 200.4], np.float32)) == [0, 0, 200]
    for bad in (
        np.array([-1, 5], np.int32),
        np.array([70000], np.int32),
        np.array([-0.1, 1], np.float32),
        np.array([256], np.float32),
        np.array([np.nan, 1], np.float32),
    ):
        with pytest.raises(decode.BadImage, match=r"^pixels in \["):
            gray(bad)


def test_sixteen_bit_color_is_pillows():
    rows = np.random.default_rng(0).integers(0, 256, (4, 1 + 5 * 6), dtype=np.uint8)
    rows[:, 0] = 0
    encoded = png(5, 4, rows.tobytes(), bit_depth=16)
    np.testing.assert_array_equal(decode.decode(encoded), opened(encoded))


def test_the_first_frame_of_several():
    frames = [Image.new("RGB", (5, 4), color) for color in ("red", "blue")]
    for form in ("GIF", "TIFF", "WEBP", "MPO"):
        options = {"lossless": True} if form == "WEBP" else {}
        encoded = encode(
            frames[0], form, save_all=True, append_images=frames[1:], **options
        )
        pixel = decode.decode(encoded)[1, 1].tolist()
        assert distance(np.array(pixel), np.array([255, 0, 0])).max() <= ROUNDING


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
def test_bombs_are_refused_at_once(encoded, max_side):
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(decode.BadImage, match=r"^bomb: .*pixels"):
        decode.decode(encoded, max_side=max_side)
    assert time.perf_counter() - start < 1.0
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_large_jpeg_in_one_scan_is_no_bomb():
    # Of these 90 million pixels only the header is true, which is found out quickly.
    encoded = resized_header(encode(smooth(16, 16)), 9500, 9500)
    start = time.perf_counter()
    with pytest.raises(decode.BadImage, match="truncated"):
        decode.decode(encoded, max_side=288)
    assert time.perf_counter() - start < 2.0


def test_the_limit_is_pillows(monkeypatch):
    encoded = encode(smooth(10, 10), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert decode.decode(encoded).shape == (10, 10, 3)
    jpeg = encode(smooth(10, 10))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
    assert decode.decode(jpeg, max_side=8).shape == (8, 8, 3)
    for bad in (encoded, jpeg):
        with pytest.raises(decode.BadImage, match=r"^bomb"):
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
def test_what_is_no_image_is_named(encoded, reason):
    with pytest.raises(decode.BadImage, match=reason) as caught:
        decode.decode(encoded)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 120
    assert not isinstance(caught.value, errors.UserError)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_half_a_file_is_a_bad_image(form):
    encoded = encode(smooth(200, 300), form)
    with pytest.raises(decode.BadImage):
        decode.decode(encoded[: len(encoded) // 2], max_side=100)


def test_a_truncated_jpeg_says_so():
    with pytest.raises(decode.BadImage, match=r"^truncated$"):
        decode.decode(encode(smooth(200, 300))[:-800])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "MPO"])
# Warnings of Pillow about what is damaged are not what is tested here.
@pytest.mark.filterwarnings("ignore")
def test_damage_makes_a_bad_image_and_nothing_else(form):
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
        except decode.BadImage as error:
            assert str(error)
        else:
            assert pixels.dtype == np.uint8 and max(pixels.shape) <= 50


def test_threads_decode_what_one_decodes():
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


def test_wrong_options_and_missing_packages(monkeypatch):
    encoded = encode(smooth(8, 8))
    with pytest.raises(errors.UserError, match=r"num_channels must be 1 or 3; got 4"):
        decode.decode(encoded, num_channels=4)
    with pytest.raises(errors.UserError, match="max_side must be >= 1 or None; got 0"):
        decode.decode(encoded, max_side=0)
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    with pytest.raises(errors.DataError, match="pip install pillow simplejpeg"):
        decode.decode(encoded)


@pytest.mark.parametrize("max_side", [224, 288])
def test_every_photo(photos, max_side):
    distances = []
    for encoded in photos:
        whole = opened(encoded)
        longest = max(whole.shape)
        pixels = decode.decode(encoded, max_side=max_side)
        largest = min(max_side, longest)
        assert decode.MIN_FILL * largest <= max(pixels.shape) <= largest
        distances.append(distance(pixels, shrunk(whole, pixels.shape)).mean())
        if max(pixels.shape) in [-(-longest * eighths // 8) for eighths in (1, 2, 4)]:
            assert distances[-1] < HALVES
    assert np.mean(distances) < PHOTOS


def test_every_photo_at_full_scale(photos):
    for encoded in photos:
        assert distance(decode.decode(encoded), opened(encoded)).max() <= ROUNDING


def test_damaged_photos(photos):
    rng = np.random.default_rng(3)
    for encoded in photos[::8]:
        with pytest.raises(decode.BadImage):
            decode.decode(encoded[: rng.integers(0, len(encoded) * 9 // 10)])
