"""An image on a canvas is treated like the image alone, whatever lies beside it.

Every recipe on a batch of canvases: test_views.py.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import augment
from simclr_jax.augment import canvas as canvases
from simclr_jax.augment import resample
from simclr_jax.core import types
from tests import helpers
from tests.augment import samples


@pytest.fixture
def image(rng):
    return jnp.asarray(rng.random((31, 38, 3)), jnp.float32)


def assert_same_on_a_canvas(rng, key, augmentation, image):
    """The canvas is compared under jit, so that its size is traced."""

    @functools.partial(jax.jit, compiler_options=samples.FAST_TO_COMPILE)
    def all_three(key, image, canvas, tight):
        return [augmentation(key, x) for x in (image, canvas, tight)]

    canvas = samples.on_canvas(rng, np.asarray(image), 40, 52)
    tight = samples.on_canvas(rng, np.asarray(image), *image.shape[:2])
    alone, *others = all_three(key, image, canvas, tight)
    for got in others:
        np.testing.assert_allclose(got, alone, **helpers.TOLERANCE["image"])


@pytest.mark.parametrize("sampler", ["uniform_area", "tf_distorted_box"])
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
def test_every_crop(rng, image, sampler, method, antialias):
    cropped = augment.bind(
        augment.random_resized_crop,
        size=(9, 12),
        sampler=sampler,
        method=method,
        antialias=antialias,
        flip_probability=0.5,
    )
    assert_same_on_a_canvas(rng, jax.random.key(1), cropped, image)


@pytest.mark.parametrize("fit", ["proportion", "crop", "resize"])
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
def test_every_evaluation(rng, key, image, fit, method, antialias):
    recipe = augment.evaluation(size=24, fit=fit, method=method, antialias=antialias)
    assert_same_on_a_canvas(rng, key, recipe, image)
    # An image of the very size is left as it is.
    assert_same_on_a_canvas(rng, key, recipe, image[:24, :24])


@pytest.mark.parametrize("proportion", [0.875, 0.9, 0.35, 1.0])
@pytest.mark.parametrize("size", [(16, 16), (12, 18)])
def test_the_central_region_is_rounded_alike(rng, proportion, size):
    """Odd and even sides, halves that round to even: one canvas size for all."""
    crop = jax.jit(lambda x: ops.center_crop(x, size=size, proportion=proportion))
    for height, width in ((20, 20), (21, 34), (35, 29), (30, 40)):
        image = rng.random((height, width, 1), dtype=np.float32)
        got = crop(samples.on_canvas(rng, image, 36, 44))
        np.testing.assert_allclose(
            got, crop(jnp.asarray(image)), **helpers.TOLERANCE["image"]
        )


def test_a_canvas_smaller_than_the_crop_is_enlarged(rng):
    """The largest central region of the output's aspect ratio: here 16 x 16."""
    image = rng.random((16, 30, 1), dtype=np.float32)
    canvas = samples.on_canvas(rng, image, 40, 40)
    got = ops.center_crop(canvas, size=20)
    expected = ops.resize(
        jnp.asarray(image[:, 7:23]), size=20, method="bicubic", antialias=True
    )
    np.testing.assert_allclose(
        got, jnp.clip(expected, 0.0, 1.0), **helpers.TOLERANCE["image"]
    )


def test_resize(rng, key, image):
    def halve(key, x):
        return resample.resize(x, size=(16, 19))

    assert_same_on_a_canvas(rng, key, halve, image)


def test_resample_box(rng, key, image):
    box = ops.Box(*map(jnp.float32, (11.5, 20.25, 19.5, 17.75)))

    def cut(key, x):
        return ops.resample_box(x, box, size=8, method="bicubic")

    assert_same_on_a_canvas(rng, key, cut, image)


def test_stored_pixels_become_floats_in_0_1(rng):
    stored = rng.integers(0, 256, (2, 3, 4, 1), dtype=np.uint8)
    expected = (stored / 255.0).astype(np.float32)
    size = jnp.asarray([[2, 3], [3, 4]], jnp.int32)
    canvas = augment.as_float(types.PaddedImages(jnp.asarray(stored), size))
    np.testing.assert_allclose(canvas.pixels, expected, **helpers.TOLERANCE["image"])
    np.testing.assert_array_equal(canvas.size, size)
    got = augment.as_float(jnp.asarray(stored))
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])
    np.testing.assert_array_equal(augment.as_float(jnp.asarray(expected)), expected)


def test_a_crop_reads_a_canvas_of_bytes(rng, key):
    stored = jnp.asarray(rng.integers(0, 256, (1, 14, 14, 3), dtype=np.uint8))
    size = jnp.asarray([[9, 12]], jnp.int32)
    canvas = types.PaddedImages(stored, size)
    one, same = (
        jax.tree.map(lambda x: x[0], c) for c in (canvas, augment.as_float(canvas))
    )
    np.testing.assert_allclose(
        augment.random_resized_crop(key, one, size=6),
        augment.random_resized_crop(key, same, size=6),
        **helpers.TOLERANCE["image"],
    )


def test_unpack(image):
    pixels, height, width = canvases.unpack(image)
    assert pixels is image
    assert (height, width) == (31.0, 38.0)
    canvas = types.PaddedImages(image, jnp.asarray([7, 9], jnp.int32))
    _, height, width = canvases.unpack(canvas)
    assert (float(height), float(width)) == (7.0, 9.0)


def test_a_stage_that_needs_an_image_refuses_a_canvas(key, image):
    canvas = types.PaddedImages(image[None], jnp.asarray([[7, 9]], jnp.int32))
    flip = augment.bind(augment.random_horizontal_flip)
    crop = augment.bind(augment.random_resized_crop, size=8)
    message = r"random_horizontal_flip.* needs an image and got a PaddedImages"
    for recipe in (
        flip,
        augment.random_horizontal_flip,
        augment.chain(flip, crop),
        augment.chain(augment.chain(flip), crop),
        (augment.with_probability(flip, 0.5), crop),
    ):
        with pytest.raises(ValueError, match=message):
            augment.views(augment.sample_keys(key, len(canvas.size)), canvas, recipe)
        one = types.PaddedImages(image, canvas.size[0])
        if callable(recipe) and recipe is not augment.random_horizontal_flip:
            with pytest.raises(ValueError, match=message):
                recipe(key, one)
    with pytest.raises(ValueError, match=r"got a PaddedImages"):
        augment.chain()(key, types.PaddedImages(image, canvas.size[0]))


def test_a_function_marked_for_canvases_is_handed_one(key, image):
    @augment.takes_canvas
    def corner(key, image):
        pixels = image.pixels if isinstance(image, types.PaddedImages) else image
        return pixels[:4, :4]

    canvas = types.PaddedImages(image, jnp.asarray([7, 9], jnp.int32))
    np.testing.assert_array_equal(augment.chain(corner)(key, canvas), image[:4, :4])
