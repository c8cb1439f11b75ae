"""The central crop against slices and Pillow; padded images are in test_padded.py."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from simclr_jax import augment
from simclr_jax.augment import ops
from tests import helpers


def test_center_crop_takes_the_central_pixels(rng):
    image = jnp.asarray(rng.random((28, 31, 1)), jnp.float32)
    got = ops.center_crop(image, size=24)
    np.testing.assert_array_equal(got, image[2:26, 4:28])


@pytest.mark.parametrize("size", [(16, 16), (12, 18)])
def test_center_crop_keeps_a_proportion_of_the_less_cropped_side(rng, size):
    image = rng.random((40, 56), dtype=np.float32)
    crop_h, crop_w = {(16, 16): (35, 35), (12, 18): (33, 49)}[size]
    top, left = (40 - crop_h + 1) // 2, (56 - crop_w + 1) // 2
    central = image[top : top + crop_h, left : left + crop_w]
    expected = Image.fromarray(central).resize(size[::-1], Image.Resampling.BICUBIC)
    got = ops.center_crop(jnp.asarray(image)[..., None], size=size, proportion=0.875)
    np.testing.assert_allclose(
        got[..., 0], np.clip(expected, 0, 1), **helpers.TOLERANCE["image"]
    )


@pytest.mark.parametrize("proportion", [0.875, 0.9, 0.3])
def test_sides_are_rounded_half_to_even(proportion):
    for height, width in ((35, 45), (30, 31), (27, 64)):
        side = max(1, round(proportion * min(height, width)))
        top, left = (height - side + 1) // 2, (width - side + 1) // 2
        image = jnp.arange(height * width, dtype=jnp.float32).reshape(height, width, 1)
        image = image / (height * width)
        got = ops.center_crop(image, size=side, proportion=proportion)
        np.testing.assert_array_equal(got, image[top : top + side, left : left + side])


def test_fit_to_size_is_the_transform_of_evaluation(key, rng):
    image = jnp.asarray(rng.random((30, 40, 1)), jnp.float32)
    for fit in ("proportion", "crop", "resize"):
        np.testing.assert_array_equal(
            ops.FitToSize(size=16, fit=fit)(key, image),
            augment.evaluation(size=16, fit=fit)(key, image),
        )


def test_errors():
    image = jnp.zeros((8, 8, 3))
    with pytest.raises(ValueError, match=r"cannot take 9 x 9 pixels out of .* 8 x 8"):
        ops.center_crop(image, size=9)
    with pytest.raises(ValueError, match=r"proportion must be"):
        ops.center_crop(image, size=4, proportion=1.5)
    with pytest.raises(ValueError, match=r"fit must be .* got 'middle'"):
        ops.FitToSize(size=4, fit="middle")
