import numpy as np

from simclr_jax import data


class Counting:
    """A source that is not in memory."""

    name, image_shape, num_classes = "counting", (2, 3, 1), 5

    def __len__(self):
        return 2500

    def __getitems__(self, indices):
        return [
            {"image": np.full((2, 3, 1), i % 251, np.uint8), "label": i % 5}
            for i in indices
        ]


def test_read_all_keeps_the_order():
    read = data.read_all(Counting())
    assert read.images.shape == (2500, 2, 3, 1)
    np.testing.assert_array_equal(read.images[:, 0, 0, 0], np.arange(2500) % 251)
    np.testing.assert_array_equal(read.labels, np.arange(2500) % 5)
    assert (read.name, read.num_classes) == ("counting", 5)


def test_arrays_are_not_read_again():
    source = data.open_source("synthetic:4x4x1:12")
    assert data.read_all(source) is source
    record = source.__getitems__([3])[0]
    np.testing.assert_array_equal(record["image"], source.images[3])
    assert record["label"] == 3
