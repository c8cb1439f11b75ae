import numpy as np
import pytest

from simclr_jax import data

pytestmark = pytest.mark.quick


def test_array_source_is_a_source_and_a_dataset():
    source = data.open_source("synthetic:4x4x1:12")
    assert isinstance(source, data.Source)
    assert isinstance(source, data.Dataset)
    record = source.__getitems__([3])[0]
    np.testing.assert_array_equal(record["image"], source.images[3])
    assert record["label"] == 3
    assert source.title_of(3) == "image 3"


def test_array_source_reads_rows(rng):
    images = rng.integers(0, 256, (6, 4, 5, 1), dtype=np.uint8)
    source = data.ArraySource("mine", images, np.arange(6, dtype=np.int32), None)
    samples = source.read([5, 0, 5])
    np.testing.assert_array_equal(samples["images"], images[[5, 0, 5]])
    np.testing.assert_array_equal(samples["labels"], [5, 0, 5])
    np.testing.assert_array_equal(samples["shown"], [5, 0, 5])
    np.testing.assert_array_equal(samples["sizes"], [(4, 5)] * 3)
    assert not source.is_padded
