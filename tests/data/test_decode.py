import struct

import numpy as np
import pytest
import simplejpeg
from pictures import (
    HALVES,
    PHOTOS,
    ROUNDING,
    SMOOTH,
    distance,
    encode,
    exif_block,
    opened,
    png,
    shrunk,
    smooth,
)
from PIL import Image

from simclr_jax.data import decode


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (8, 8), (37, 53), (301, 200)])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_at_full_scale_equals_pillow(shape, subsampling, progressive):
    encoded = encode(
        smooth(*shape), quality=90, subsampling=subsampling, progressive=progressive
    )
    for mode, num_channels in (("RGB", 3), ("L", 1)):
        pixels = decode.decode(encoded, num_channels=num_channels, max_side=301)
        assert pixels.dtype == np.uint8 and pixels.shape == (*shape, num_channels)
        assert pixels.flags.c_contiguous and pixels.flags.writeable
        assert distance(pixels, opened(encoded, mode)).max() <= ROUNDING


def test_gray_jpeg_as_one_or_three_channels():
    encoded = encode(smooth(60, 90, 1), quality=95)
    gray = decode.decode(encoded, num_channels=1)
    assert distance(gray, opened(encoded, "L")).max() <= ROUNDING
    color = decode.decode(encoded, num_channels=3)
    np.testing.assert_array_equal(color, np.repeat(gray, 3, axis=2))


def test_cmyk_jpeg_equals_pillow():
    encoded = encode(Image.fromarray(smooth(64, 640)).convert("CMYK"))
    np.testing.assert_array_equal(decode.decode(encoded), opened(encoded))
    assert decode.decode(encoded, max_side=64).shape == (6, 64, 3)


@pytest.mark.parametrize("longest", [*range(60, 140, 7), 301, 500, 641, 1001, 3000])
@pytest.mark.parametrize("num_channels", [1, 3])
def test_large_jpeg_fills_max_side_and_keeps_its_aspect_ratio(longest, num_channels):
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
def test_jpeg_scale_is_the_largest_eighth_that_fits_or_one_more(longest):
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
def test_simplejpeg_decodes_at_the_requested_scale(size, monkeypatch):
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


def test_finds_the_exif_block_after_other_segments():
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
def test_ignores_a_damaged_exif_block(exif):
    encoded = encode(smooth(16, 24), exif=exif)
    assert decode.decode(encoded).shape == (16, 24, 3)


def test_ignores_png_text_named_exif():
    text = pytest.importorskip("PIL.PngImagePlugin").PngInfo()
    text.add_text("exif", "II*")
    encoded = encode(smooth(16, 24), "PNG", pnginfo=text)
    assert decode.decode(encoded).shape == (16, 24, 3)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF", "WEBP"])
@pytest.mark.parametrize("num_channels", [1, 3])
def test_other_formats_equal_pillow(form, num_channels):
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
def test_transparent_images_are_composed_over_white(mode, form):
    color, alpha = smooth(20, 30), smooth(20, 30, 2)[..., 1]
    image = Image.fromarray(color).convert(mode[:-1])
    image.putalpha(Image.fromarray(alpha))
    part = alpha[..., None] / 255
    base = np.asarray(image.convert("RGB")).astype(float)
    expected = base * part + 255 * (1 - part)
    assert np.abs(decode.decode(encode(image, form)) - expected).max() <= 1


def test_transparent_palette_entries_become_white():
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
        with pytest.raises(decode.CorruptImage, match=r"^pixels in \["):
            gray(bad)


def test_sixteen_bit_color_equals_pillow():
    rows = np.random.default_rng(0).integers(0, 256, (4, 1 + 5 * 6), dtype=np.uint8)
    rows[:, 0] = 0
    encoded = png(5, 4, rows.tobytes(), bit_depth=16)
    np.testing.assert_array_equal(decode.decode(encoded), opened(encoded))


def test_decodes_the_first_frame_of_an_animation():
    frames = [Image.new("RGB", (5, 4), color) for color in ("red", "blue")]
    for form in ("GIF", "TIFF", "WEBP", "MPO"):
        options = {"lossless": True} if form == "WEBP" else {}
        encoded = encode(
            frames[0], form, save_all=True, append_images=frames[1:], **options
        )
        pixel = decode.decode(encoded)[1, 1].tolist()
        assert distance(np.array(pixel), np.array([255, 0, 0])).max() <= ROUNDING


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
