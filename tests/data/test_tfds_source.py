import numpy as np
import pytest

from simclr_jax import data
from simclr_jax.core import errors
from simclr_jax.data import tfds_source


def test_mnist(data_dir):
    source = data.open_source("tfds:mnist", split="test", data_dir=data_dir)
    assert source.name == "tfds:mnist/3.0.1:test"
    assert len(source) == 10_000
    assert source.image_shape == (28, 28, 1)
    assert source.num_classes == 10
    first, last = source.__getitems__([0, 9_999])
    assert first["image"].shape == (28, 28, 1)
    assert first["image"].dtype == np.uint8
    assert last["label"] in range(10)


def test_reading_needs_no_tensorflow(data_dir):
    import sys

    data.open_source("tfds:mnist", split="test", data_dir=data_dir).__getitems__([0])
    assert "tensorflow" not in sys.modules


def test_color_images_and_squares(data_dir):
    plain = data.open_source("tfds:cifar10", split="test", data_dir=data_dir)
    assert plain.image_shape == (32, 32, 3)
    square = data.open_source(
        "tfds:cifar10", split="test", data_dir=data_dir, square_side=16
    )
    assert (
        square.__getitems__([0])[0]["image"].shape == square.image_shape == (16, 16, 3)
    )


def test_part_of_a_split(data_dir):
    source = data.open_source("tfds:mnist", split="test[:100]", data_dir=data_dir)
    assert len(source) == 100


def test_what_is_not_there_says_how_to_prepare_it(data_dir):
    with pytest.raises(
        errors.DataError, match=r"not prepared.*Did you mean 'mnist'"
    ) as e:
        data.open_source("tfds:mnits", data_dir=data_dir)
    assert "download_and_prepare" in str(e.value)
    with pytest.raises(errors.DataError, match=r"Unknown split of 'mnist': 'trian'"):
        data.open_source("tfds:mnist", split="trian", data_dir=data_dir)


def test_a_folder_that_is_not_there():
    with pytest.raises(errors.DataError, match=r"data_dir '/nowhere' is not a folder"):
        data.open_source("tfds:mnist", data_dir="/nowhere")


def test_newest_version_wins():
    key = tfds_source._version_key
    assert max(["3.0.1", "10.0.0", "3.1.0"], key=key) == "10.0.0"
