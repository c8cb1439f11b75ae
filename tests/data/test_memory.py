import logging
import socket

import numbered
import numpy as np
import pytest

from simclr_jax import data
from simclr_jax.core import errors

SOURCE = numbered.Numbered(300, bad=(7, 8, 299))


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


def test_the_order_is_kept_and_the_bad_are_named(caplog):
    with caplog.at_level(logging.WARNING):
        check(data.read_all(data.open_images(SOURCE, canvas=8)))
    assert [r.getMessage().split(":")[0] for r in caplog.records] == [
        f"Bad image numbered/{number}.png" for number in (7, 8, 299)
    ]


def test_the_second_run_maps_the_file_of_the_first(tmp_path, caplog, monkeypatch):
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
        data.open_images(numbered.Numbered(300, bad=(7, 8, 298)), canvas=8),
        data.open_images(numbered.Numbered(299, bad=(7, 8)), canvas=8),
    ],
)
def test_other_contents_are_another_file(tmp_path, changed):
    data.read_all(data.open_images(SOURCE, canvas=8), cache_dir=tmp_path)
    data.read_all(changed, cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    images = data.open_images(SOURCE, canvas=8)
    check(data.read_all(images, cache_dir=tmp_path / "file"))
    assert "decoded in memory" in caplog.text


def test_a_file_cut_short_is_made_anew(tmp_path):
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


def test_nothing_is_left_of_a_set_that_is_refused(tmp_path):
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


def test_arrays_are_not_read_again(tmp_path):
    source = data.open_source("synthetic:4x4x1:12")
    assert data.read_all(source, cache_dir=tmp_path) is source
    assert not list(tmp_path.iterdir())
