import numbered
import numpy as np
import pytest
from PIL import Image

from simclr_jax import data
from simclr_jax.core import errors
from simclr_jax.data import decode, pixel_options

pytestmark = pytest.mark.quick


def write_stack(path, values, *, size=(6, 5)):
    """Writes a TIFF whose pages have one value each."""
    pages = [Image.fromarray(np.full(size, value, np.uint8)) for value in values]
    pages[0].save(path, "TIFF", save_all=True, append_images=pages[1:])


def opened(root, **options):
    return data.open_images(data.open_source(f"folder:{root}"), canvas=8, **options)


@pytest.fixture
def stacks(tmp_path):
    for number in range(3):
        values = [number + 10 * page for page in range(5)]
        write_stack(tmp_path / f"{number}.tif", values)
    return tmp_path


@pytest.mark.parametrize(("page", "expected"), [(0, 0), (3, 30), ("4", 40), (-1, 40)])
def test_reads_one_page_of_a_stack(stacks, page, expected):
    images = opened(stacks, page=page)
    assert images.image_shape == (8, 8, 3)
    pixels = images.read([0, 2])["images"]
    assert (pixels[:, 5, 4] == [[expected], [expected + 2]]).all()


def test_all_pages_become_channels(stacks):
    images = opened(stacks, page="all")
    assert images.image_shape == (8, 8, 5)
    samples = images.read([2])
    assert samples["images"][0, 0, 0].tolist() == [2, 12, 22, 32, 42]
    assert samples["sizes"].tolist() == [[6, 5]]
    chosen = opened(stacks, page="all", channels=(4, 0))
    assert chosen.image_shape == (8, 8, 2)
    assert chosen.read([2])["images"][0, 0, 0].tolist() == [42, 2]
    small = data.open_images(chosen.source, canvas=3, page="all")
    assert small.read([1])["images"][0, 0, 0].tolist() == [1, 11, 21, 31, 41]


def test_replaces_stacks_with_another_number_of_pages(stacks):
    write_stack(stacks / "1.tif", [7, 8])
    images = opened(stacks, page="all")
    assert images.read([1])["shown"].tolist() == [2]
    pages = [Image.fromarray(np.zeros((n, 5), np.uint8)) for n in (6, 7)]
    pages[0].save(stacks / "1.tif", "TIFF", save_all=True, append_images=pages[1:])
    with pytest.raises(errors.DataError, match=r"its pages differ in size"):
        opened(stacks, page="all", on_bad_image="fail").read([1])


def test_rejects_a_page_that_no_image_has(stacks):
    images = opened(stacks, page=9)
    with pytest.raises(errors.DataError, match=r"it has 5 pages, but page 9 was req"):
        images.read([0])


def test_selects_one_channel_of_color_images(tmp_path):
    pixels = np.zeros((6, 5, 3), np.uint8)
    pixels[..., 1] = 200
    Image.fromarray(pixels).save(tmp_path / "1.png")
    images = opened(tmp_path, channels=(1,))
    assert images.image_shape == (8, 8, 1)
    assert images.read([0])["images"][0, 0, 0].tolist() == [200]


def test_other_options_use_other_cache_files(stacks, tmp_path):
    cache = tmp_path / "decoded"
    for options in (
        {},
        {"page": 1},
        {"channels": (2, 1, 0)},
        {"value_range": "0:50"},
    ):
        data.read_all(opened(stacks, **options), cache_dir=cache)
    assert len(list(cache.iterdir())) == 4


def test_rejects_invalid_options(stacks):
    with pytest.raises(errors.UserError, match=r"data.page must be .*got 'last'"):
        opened(stacks, page="last")
    with pytest.raises(errors.UserError, match=r"from 0 to 2, .* 3 channels; got \(3,"):
        opened(stacks, channels=(3,))
    with pytest.raises(errors.UserError, match=r"from 0 to 2, .*got \(\)"):
        opened(stacks, channels=())
    with pytest.raises(errors.UserError, match=r"data.range must be"):
        opened(stacks, value_range="fixed")


def test_pages_need_image_files(tmp_path):
    sized = numbered.Numbered(3, image_shape=(4, 4, 3))
    with pytest.raises(errors.UserError, match=r"data.page=all needs image files"):
        pixel_options.count_pages(sized)
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(errors.DataError, match=r"none of its first 20 images"):
        opened(tmp_path, page="all")


def test_rejects_a_page_with_many_channels():
    with pytest.raises(decode.CorruptImage, match=r"a TIFF of 5 channels .*save such"):
        decode.decode(tiff_of(5))


def tiff_of(num_channels, *, side=4):
    """A TIFF whose pixels have any number of values, which Pillow does not write."""
    tags = [
        (256, 3, side),
        (257, 3, side),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, num_channels),
        (278, 3, side),
        (279, 4, side * side * num_channels),
    ]
    pixels = bytes(side * side * num_channels)
    entries = b"".join(
        np.asarray([tag, kind], "<u2").tobytes()
        + np.asarray([1, value], "<u4").tobytes()
        for tag, kind, value in tags
    )
    start = np.asarray(8 + len(pixels), "<u4").tobytes()
    count = np.asarray(len(tags), "<u2").tobytes()
    return b"II*\0" + start + pixels + count + entries + bytes(4)


def test_parses_every_form_of_a_range():
    for name in ("full", "image", "percentiles"):
        assert pixel_options.parse_value_range(name) == name
    assert pixel_options.parse_value_range("0:4095") == (0.0, 4095.0)
    assert pixel_options.parse_value_range("-1000:3e3") == (-1000.0, 3000.0)
    assert pixel_options.parse_value_range((0.5, 2)) == (0.5, 2.0)


@pytest.mark.parametrize("option", ["fixed", "5", "5:5", "9:1", "0:inf", "1:2:3", ""])
def test_rejects_invalid_ranges(option):
    with pytest.raises(errors.UserError, match=r"data.range must be full, image, perc"):
        pixel_options.parse_value_range(option)


def test_full_uses_the_range_of_the_type():
    deep = np.asarray([0, 257, 65535], np.uint16)
    assert pixel_options.to_bytes(deep).tolist() == [0, 1, 255]
    assert pixel_options.to_bytes(np.asarray([0.0, 0.5, 1.0])).tolist() == [0, 128, 255]
    byte = np.arange(3, dtype=np.uint8)
    assert pixel_options.to_bytes(byte) is byte
    with pytest.raises(ValueError, match=r"pixels in \[-5, 0\], .*data.range gives"):
        pixel_options.to_bytes(np.asarray([-5, 0]))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_values_outside_a_fixed_range_are_clipped(dtype):
    values = np.asarray([[0, 100], [150, 200]], dtype)
    stretched = pixel_options.to_bytes(values, (100.0, 151.0))
    assert stretched.dtype == np.uint8
    assert stretched.tolist() == [[0, 0], [250, 255]]


def test_ranges_of_each_image(rng):
    values = rng.integers(300, 400, (50, 40)).astype(np.uint16)
    stretched = pixel_options.to_bytes(values, "image")
    assert (stretched.min(), stretched.max()) == (0, 255)
    values[0, 0] = 60_000  # a hot pixel
    assert np.median(pixel_options.to_bytes(values, "image")) == 0
    assert 100 < np.median(pixel_options.to_bytes(values, "percentiles")) < 155


def test_extreme_values():
    constant = np.full((3, 3), 7, np.uint16)
    assert pixel_options.to_bytes(constant, "image").tolist() == [[0] * 3] * 3
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="not finite"):
            pixel_options.to_bytes(np.asarray([0.0, bad]), "image")
