import io
import logging

import image_bytes
import numpy as np
import pytest
from PIL import Image

from simclr_jax import data
from simclr_jax.data import inspection


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.setattr(inspection, "_warned", set())


def write_tiff(path, pages):
    """Writes arrays as the pages of a TIFF."""
    first, *others = [Image.fromarray(page) for page in pages]
    first.save(path, "TIFF", save_all=True, append_images=others)


def deep(rng, low, high, *, side=12):
    return rng.integers(low, high, (side, side)).astype(np.uint16)


def opened(root, **options):
    return data.open_images(data.open_source(f"folder:{root}"), canvas=12, **options)


def test_warns_once_of_images_that_decode_to_black(tmp_path, rng, caplog):
    for number in range(20):
        write_tiff(tmp_path / f"{number}.tif", [deep(rng, 100, 900)])
    images = opened(tmp_path)
    assert images.read(range(20))["images"].max() <= 4
    (record,) = caplog.records
    message = record.getMessage()
    assert "the images are nearly constant. Half of 16 sampled ones span" in message
    assert "at most 3 of 255 levels; all lie in 0 to 3. Stored values range" in message
    low, _, high = message.partition("data.range=")[2].partition(" ")[0].partition(":")
    assert 100 <= float(low) < 110 and 890 < float(high) < 900
    opened(tmp_path)
    assert len(caplog.records) == 1
    stretched = opened(tmp_path, value_range=f"{low}:{high}")
    assert len(caplog.records) == 1
    pixels = stretched.read(range(20))["images"]
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_warns_of_a_small_part_of_the_range(rng, caplog):
    pixels = rng.integers(100, 120, (9, 8, 8, 3), dtype=np.uint8)
    source = data.ArraySource("dim", pixels, np.zeros(9, np.int32), None)
    data.open_images(source)
    assert "the images use a small part of the range. Half of 9" in caplog.text
    assert "data.range=100:119 (one range" in caplog.text


def test_does_not_warn_of_ordinary_images(caplog):
    for spec in ("mnist_sample", "synthetic:8x8x3:20"):
        data.open_images(data.open_source(spec))
    assert not caplog.text


def test_warns_of_dropped_pages(tmp_path, rng, caplog):
    pages = [deep(rng, 0, 60_000) for _ in range(3)]
    write_tiff(tmp_path / "a.tif", pages)
    write_tiff(tmp_path / "b.tif", pages[:1])
    opened(tmp_path)
    assert "1 of 2 sampled images have several pages (up to 3). Page 0" in caplog.text
    caplog.clear()
    for page in (0, "0", -1, "all"):
        opened(tmp_path, page=page)
    assert not caplog.text


def test_logs_transparency(tmp_path, caplog):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:4] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with caplog.at_level(logging.INFO):
        opened(tmp_path)
    assert "1 of 1 sampled images have transparency, which becomes" in caplog.text


def test_describes_stored_images(rng):
    file = io.BytesIO()
    Image.fromarray(deep(rng, 5, 6)).save(file, "PNG")
    stored = inspection.describe(file.getvalue())
    assert stored == inspection.Stored(1, 16, low=5.0, high=5.0)
    assert inspection.describe(image_bytes.encode(3)).is_color
    assert inspection.describe(b"no image") == inspection.Stored()
    assert inspection.describe(np.full((2, 2, 1), 7, np.uint16)).bits == 16


def test_ignores_images_that_cannot_be_read(tmp_path, caplog):
    (tmp_path / "a.png").write_bytes(b"no image")
    images = opened(tmp_path, on_bad_image="fail")
    assert not caplog.text
    assert len(images) == 1
