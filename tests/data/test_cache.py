import concurrent.futures
import logging
import os
import signal
import socket
import threading
import time

import numbered
import numpy as np
import pytest
import small_disk

from simclr_jax import data
from simclr_jax.core import errors, signals
from simclr_jax.data import cache, dataset

SOURCE = numbered.Numbered(300, corrupt=(7, 8, 299))


def check(read):
    assert read.images.shape == (300, 8, 8, 3)
    assert (read.name, read.num_classes) == ("numbered", 5)
    expected = np.arange(300)
    expected[[7, 8, 299]] = 9, 9, 0
    np.testing.assert_array_equal(read.shown, expected)
    np.testing.assert_array_equal(read.images[:, 0, 0, 0], expected % 251)
    np.testing.assert_array_equal(read.labels, expected % 5)
    np.testing.assert_array_equal(read.sizes[:4], [(4, 4), (5, 5), (6, 6), (4, 7)])
    samples = read.read([7, 20])
    np.testing.assert_array_equal(samples["shown"], [9, 20])
    np.testing.assert_array_equal(samples["sizes"], read.sizes[[7, 20]])


def test_keeps_the_order_and_logs_corrupt_images(caplog):
    with caplog.at_level(logging.WARNING):
        check(data.read_all(data.open_images(SOURCE, canvas=8)))
    assert [r.getMessage().split(":")[0] for r in caplog.records] == [
        f"Corrupt image numbered/{number}.png" for number in (7, 8, 299)
    ]


def test_second_run_maps_the_file_of_the_first(tmp_path, caplog, monkeypatch):
    images = data.open_images(SOURCE, canvas=8)
    check(data.read_all(images, cache_dir=tmp_path / "decoded"))
    (file,) = (tmp_path / "decoded").iterdir()
    stamp = file.stat().st_mtime_ns
    caplog.clear()
    with caplog.at_level(logging.INFO):
        again = data.read_all(images, cache_dir=tmp_path / "decoded")
    check(again)
    assert isinstance(again.images.base, np.memmap)
    assert file.stat().st_mtime_ns == stamp
    assert "Decoding" not in caplog.text
    assert "numbered/7.png" in caplog.text


@pytest.mark.parametrize(
    "changed",
    [
        data.open_images(SOURCE, canvas=9),
        data.open_images(SOURCE, canvas=8, num_channels=1),
        data.open_images(numbered.Numbered(300, corrupt=(7, 8, 298)), canvas=8),
        data.open_images(numbered.Numbered(299, corrupt=(7, 8)), canvas=8),
    ],
)
def test_other_contents_use_another_file(tmp_path, changed):
    data.read_all(data.open_images(SOURCE, canvas=8), cache_dir=tmp_path)
    data.read_all(changed, cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_decodes_into_memory_if_the_cache_cannot_be_written(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    images = data.open_images(SOURCE, canvas=8)
    check(data.read_all(images, cache_dir=tmp_path / "file"))
    assert "decoded into memory" in caplog.text


def test_rewrites_a_truncated_file(tmp_path):
    images = data.open_images(SOURCE, canvas=8)
    data.read_all(images, cache_dir=tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no array"):
        file.write_bytes(damaged)
        killed = f"{file.stem}.{socket.gethostname()}-1.tmp"
        (tmp_path / killed).write_bytes(b"of a run that was killed")
        check(data.read_all(images, cache_dir=tmp_path))
        assert file.read_bytes() == whole
        assert list(tmp_path.iterdir()) == [file]


def test_leaves_no_file_after_an_error(tmp_path):
    images = data.open_images(SOURCE, canvas=8, on_bad_image="fail")
    with pytest.raises(errors.DataError, match=r"numbered/7.png"):
        data.read_all(images, cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_images_of_one_size_have_no_sizes():
    source = numbered.Numbered(6, image_shape=(4, 5, 3))
    read = data.read_all(data.open_images(source))
    assert read.image_shape == (4, 5, 3)
    assert read.sizes is None
    assert read.shown is None


def test_does_not_copy_arrays(tmp_path):
    source = data.open_source("synthetic:4x4x1:12")
    assert data.read_all(source, cache_dir=tmp_path) is source
    assert not list(tmp_path.iterdir())


def test_caches_other_fields(tmp_path):
    images = data.open_images(numbered.Worded(30, corrupt=(7,)), canvas=8)
    plain = data.open_images(numbered.Numbered(30, corrupt=(7,)), canvas=8)
    for _ in range(2):
        read = data.read_all(images, cache_dir=tmp_path)
        expected = [numbered.text_of(8 if n == 7 else n) for n in range(30)]
        np.testing.assert_array_equal(read.arrays["text"], expected)
        assert read.fields == images.fields
    data.read_all(plain, cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def check_said(caplog, reason):
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert said[0].startswith("The decoded images cannot be cached in")
    assert f"({reason})" in said[0]
    assert all("Corrupt image" in line for line in said[1:])


@pytest.mark.parametrize("reserves", [True, False])
def test_a_full_disk_logs_one_line_and_leaves_no_file(
    tmp_path, caplog, monkeypatch, reserves
):
    if not reserves:
        monkeypatch.setattr(cache, "_reserve", lambda *unused: None)
    with small_disk.files_up_to(20_000):
        check(data.read_all(data.open_images(SOURCE, canvas=8), cache_dir=tmp_path))
    check_said(caplog, "File too large")
    assert not list(tmp_path.iterdir())


def test_works_on_a_small_disk(tmp_path, caplog, monkeypatch):
    with small_disk.mounted(tmp_path, kilobytes=16):
        monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: Plenty)
        check(data.read_all(data.open_images(SOURCE, canvas=8), cache_dir=tmp_path))
        assert not list(tmp_path.iterdir())
    check_said(caplog, "No space left on device")


class Plenty:
    free = 1 << 40


def test_concurrent_runs_decode_the_data_once(tmp_path, caplog, monkeypatch):
    reading, may_go_on = threading.Event(), threading.Event()

    def read(images, indices):
        reading.set()
        assert may_go_on.wait(20)
        return original(images, indices)

    original = dataset.DecodedImages.read
    monkeypatch.setattr(dataset.DecodedImages, "read", read)
    images = data.open_images(numbered.Numbered(300), canvas=8)
    with (
        caplog.at_level(logging.INFO),
        concurrent.futures.ThreadPoolExecutor(2) as pool,
    ):
        first = pool.submit(data.read_all, images, cache_dir=tmp_path)
        assert reading.wait(20)
        second = pool.submit(data.read_all, images, cache_dir=tmp_path)
        deadline = time.monotonic() + 20
        while "waiting for it" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (temporary,) = tmp_path.glob("*.tmp")
        may_go_on.set()
        results = [first.result(20), second.result(20)]
    assert caplog.text.count("images once, into") == 1
    np.testing.assert_array_equal(results[0].images, results[1].images)
    assert not temporary.exists()
    assert [path.suffix for path in tmp_path.iterdir()] == [".npy"]


def test_keeps_temporary_files_of_other_hosts(tmp_path):
    images = data.open_images(SOURCE, canvas=8)
    data.read_all(images, cache_dir=tmp_path)
    (file,) = tmp_path.iterdir()
    file.unlink()
    fresh, old = (tmp_path / f"{file.stem}.{name}-1.tmp" for name in ("else", "where"))
    fresh.write_bytes(b"under way")
    old.write_bytes(b"abandoned")
    os.utime(old, (0, 0))
    data.read_all(images, cache_dir=tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([file, fresh])


def test_logs_the_progress(caplog, monkeypatch):
    monkeypatch.setattr(cache, "_REPORT_SECONDS", 0.0)
    with caplog.at_level(logging.INFO):
        data.read_all(data.open_images(SOURCE, canvas=8))
    assert "Decoded 256 of 300 images." in caplog.text


def test_leaves_no_file_when_stopped(tmp_path):
    noted = threading.Event()
    with signals.noted(lambda number: noted.set()):
        os.kill(os.getpid(), signal.SIGTERM)
        assert noted.wait(10)
        with pytest.raises(errors.StoppedError):
            data.read_all(data.open_images(SOURCE, canvas=8))
        with pytest.raises(errors.StoppedError):
            data.read_all(data.open_images(SOURCE, canvas=8), cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())
