"""Digits, supervised training and evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from simclr_jax import augment
from simclr_jax.augment import recipes
from tests import helpers


def test_digits_are_cropped_jittered_and_blurred_but_not_mirrored():
    assert augment.mnist().stages == (
        augment.RandomResizedCrop(size=24, area=(0.3, 1.0)),
        augment.ColorJitter(brightness=0.4, contrast=0.4),
        augment.RandomGaussianBlur(sigma=(0.1, 2.0)),
    )
    assert augment.mnist().stages[0].flip_probability == 0.0


def test_supervised_views_are_mirrored_crops():
    crop = augment.RandomResizedCrop(
        size=96,
        area=(0.08, 1.0),
        sampler="tf_distorted_box",
        method="bicubic",
        antialias=False,
        flip_probability=0.5,
    )
    assert recipes.supervised(size=96).stages == (crop,)


def test_evaluation_returns_an_image_of_the_size_unchanged(key, rng):
    image = jnp.asarray(rng.random((32, 32, 3)), jnp.float32)
    for fit in ("proportion", "crop", "resize"):
        got = augment.evaluation(size=32, fit=fit)(key, image)
        np.testing.assert_array_equal(got, image)


def test_evaluation_ignores_the_key(key, rng):
    image = jnp.asarray(rng.random((40, 40, 3)), jnp.float32)
    recipe = augment.evaluation(size=24)
    np.testing.assert_array_equal(recipe(key, image), recipe(jax.random.key(9), image))


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_evaluation_resize_matches_pillow(key, rng, method):
    image = rng.random((28, 28), dtype=np.float32)
    resampling = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}[method]
    expected = Image.fromarray(image).resize((24, 24), resampling)
    recipe = augment.evaluation(size=24, fit="resize", method=method, antialias=True)
    got = recipe(key, jnp.asarray(image)[..., None])
    np.testing.assert_allclose(
        got[..., 0], np.clip(expected, 0, 1), **helpers.TOLERANCE["image"]
    )


def test_errors():
    with pytest.raises(ValueError, match=r"fit must be .* got 'middle'"):
        augment.evaluation(fit="middle")
