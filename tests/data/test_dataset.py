import logging

import numbered
import numpy as np
import pytest

from simclr_jax import data
from simclr_jax.core import errors
from simclr_jax.data import dataset

pytestmark = pytest.mark.quick


def test_images_of_many_sizes_are_padded():
    source = numbered.Numbered(20)
    images = data.open_images(source, canvas=8)
    assert images.is_padded
    assert images.image_shape == (8, 8, 3)
    samples = images.read([7, 3])
    for row, index in enumerate([7, 3]):
        height, width = source.size_of(index)
        np.testing.assert_array_equal(samples["sizes"][row], (height, width))
        expected = np.zeros((8, 8, 3), np.uint8)
        expected[:height, :width] = index
        np.testing.assert_array_equal(samples["images"][row], expected)
    np.testing.assert_array_equal(samples["labels"], [2, 3])
    np.testing.assert_array_equal(samples["shown"], [7, 3])
    assert dataset.unpack_reasons(samples["reasons"]) == []


def test_larger_images_are_scaled_down_and_keep_their_aspect_ratio():
    images = data.open_images(numbered.Numbered(20), canvas=3)
    samples = images.read(np.arange(20))
    assert samples["sizes"].max() == 3
    assert samples["images"].shape == (20, 3, 3, 3)


def test_images_of_one_size_are_not_padded():
    images = data.open_images(numbered.Numbered(9, image_shape=(5, 6, 3)), canvas=3)
    assert not images.is_padded
    assert images.image_shape == (5, 6, 3)
    assert images.read([8])["images"].shape == (1, 5, 6, 3)


def test_one_channel_on_request():
    images = data.open_images(numbered.Numbered(9), canvas=8, num_channels=1)
    np.testing.assert_array_equal(images.read([4])["images"][0, 0, 0], [4])


def test_a_corrupt_image_is_replaced_by_the_next_valid_one():
    images = data.open_images(numbered.Numbered(10, corrupt=(3, 4, 9)), canvas=8)
    samples = images.read([3, 1, 9, 4])
    np.testing.assert_array_equal(samples["shown"], [5, 1, 0, 5])
    np.testing.assert_array_equal(samples["images"][:, 0, 0, 0], [5, 1, 0, 5])
    np.testing.assert_array_equal(samples["labels"], [0, 1, 0, 0])
    assert len(dataset.unpack_reasons(samples["reasons"])) == 3


def test_corrupt_images_raise_an_error_on_request():
    images = data.open_images(
        numbered.Numbered(10, corrupt=(3,)), canvas=8, on_bad_image="fail"
    )
    images.read([1, 2])
    with pytest.raises(
        errors.DataError, match=r"'numbered/3.png' of numbered cannot be read: .*Repair"
    ):
        images.read([3])


def test_an_image_of_unexpected_shape_is_corrupt():
    source = numbered.Numbered(10, image_shape=(4, 4, 3))
    object.__setattr__(source, "size_of", lambda index: (4, 4 + (index == 2)))
    samples = data.open_images(source).read([2])
    np.testing.assert_array_equal(samples["shown"], [3])
    assert "expected" in dataset.unpack_reasons(samples["reasons"])[0]


@pytest.mark.parametrize("value_range", ["full", "0:65535"])
def test_arrays_of_other_types_are_converted_to_uint8(monkeypatch, value_range):
    source = numbered.Numbered(3, image_shape=(2, 2, 3), name=f"deep {value_range}")
    pixels = np.full((2, 2, 3), 257 * 9, np.uint16)
    records = [{"image": pixels, "label": 0}]
    monkeypatch.setattr(numbered.Numbered, "__getitems__", lambda self, _: records)
    images = data.open_images(source, value_range=value_range)
    assert (images.read([0])["images"] == 9).all()


def test_raises_an_error_if_no_image_is_readable():
    images = data.open_images(numbered.Numbered(50, corrupt=tuple(range(50))), canvas=8)
    with pytest.raises(errors.DataError, match=r"None of the 20 images after"):
        images.read([0])


def test_rejects_invalid_options():
    source = numbered.Numbered(3)
    with pytest.raises(errors.UserError, match=r"canvas must be a whole number"):
        data.open_images(source, canvas=0)
    with pytest.raises(errors.UserError, match=r"num_channels must be 1 or 3; got 4"):
        data.open_images(source, num_channels=4)
    with pytest.raises(errors.UserError, match=r"'ignore'.*Choices: fail, replace"):
        data.open_images(source, on_bad_image="ignore")


def test_returns_arrays_in_memory_unchanged():
    source = data.open_source("synthetic:4x4x1:12")
    assert data.open_images(source) is source
    assert isinstance(source, data.Dataset)


def test_corrupt_images_are_logged_once_and_always_counted(caplog):
    log = dataset.CorruptImages(data.open_images(numbered.Numbered(10, corrupt=(3, 4))))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        log.note(np.array([1, 3]), np.array([1, 5]), ["truncated"])
        log.note(np.array([4, 3]), np.array([5, 5]), ["no bytes", "truncated"])
    assert [record.getMessage() for record in caplog.records] == [
        "Corrupt image numbered/3.png: truncated. It is replaced by numbered/5.png.",
        "Corrupt image numbered/4.png: no bytes. It is replaced by numbered/5.png.",
    ]
    assert log.take_count() == 3
    assert log.take_count() == 0


def test_images_logged_before_are_only_counted(caplog):
    log = dataset.CorruptImages(data.open_images(numbered.Numbered(10)))
    log.note(np.array([1, 3]), np.array([1, 5]), [])
    assert log.take_count() == 1
    assert not caplog.records
