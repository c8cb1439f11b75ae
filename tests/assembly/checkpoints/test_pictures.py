import numpy as np
import pytest
from PIL import Image

from simclr_jax.assembly.checkpoints import pictures
from simclr_jax.core import errors, types

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV")


def batches(images, *, batch_size=4, shape=(10, 10, 3)):
    return list(pictures.batches(images, batch_size=batch_size, stored_shape=shape))


def test_pads_the_last_batch(rng):
    images = rng.integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
    first, second = batches(images)
    assert first.shape == second.shape == (4, 6, 7, 3)
    np.testing.assert_array_equal(second, np.repeat(images[4:], 4, axis=0))
    (only,) = batches(images, batch_size=256)  # no larger than necessary
    assert only.shape == (5, 6, 7, 3)
    assert not batches(images[:0])


def test_images_of_many_sizes_are_padded(rng):
    images = [
        rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in [(6, 9), (8, 4)]
    ]
    (batch,) = batches(images)
    assert isinstance(batch, types.PaddedImages)
    assert batch.pixels.shape == (2, 10, 10, 3) and batch.pixels.dtype == np.uint8
    np.testing.assert_array_equal(batch.size, [(6, 9), (8, 4)])
    for pixels, image in zip(batch.pixels, images, strict=True):
        np.testing.assert_array_equal(pixels[: len(image), : image.shape[1]], image)


def test_does_not_round_float_images(rng):
    images = list(rng.random((2, 6, 6, 3), dtype=np.float32))
    np.testing.assert_array_equal(batches(images)[0], np.stack(images))
    mixed = [images[0], np.full((6, 6, 3), 255, np.uint8)]
    (batch,) = batches(mixed)
    np.testing.assert_array_equal(batch[0], images[0])
    assert float(batch[1].min()) == 1.0


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("mode", MODES)
def test_converts_8_bit_pictures_to_gray_or_rgb(mode, num_channels):
    picture = Image.new("RGB", (8, 6), (255, 255, 255))
    picture = (
        picture.convert("L").convert(mode) if mode == "LA" else picture.convert(mode)
    )
    (batch,) = batches([picture], shape=(10, 10, num_channels))
    assert batch.shape == (1, 6, 8, num_channels)
    assert np.asarray(batch).min() >= 254


def test_scales_large_images_to_the_training_size(rng):
    large = rng.integers(0, 256, (40, 20, 3), dtype=np.uint8)
    picture = Image.fromarray(large)
    by_array, by_picture, by_float = (
        np.asarray(batches([image])[0]) for image in (large, picture, large / 255)
    )
    assert by_array.shape == (1, 10, 5, 3)
    np.testing.assert_array_equal(by_array, by_picture)
    np.testing.assert_array_equal(by_array, by_float)
    assert picture.size == (20, 40)  # The caller's picture is not modified.


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_rejects_pictures_with_an_unknown_value_range(mode):
    with pytest.raises(
        errors.UserError, match=f"mode '{mode}' cannot be converted to 3"
    ):
        batches([Image.new(mode, (8, 8))])
