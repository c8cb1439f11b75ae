"""A padded image gives the result of the image alone, whatever the padding.

Every recipe on a batch of padded images: test_views.py.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import augment
from simclr_jax.augment import ops
from simclr_jax.augment import padded as padded_module
from simclr_jax.core import types
from tests import helpers
from tests.augment import samples


@pytest.fixture
def image(rng):
    return jnp.asarray(rng.random((31, 38, 3)), jnp.float32)


def assert_same_if_padded(rng, key, augmentation, image):
    """Compares under jit, so that the size of the padded image is traced."""

    @functools.partial(jax.jit, compiler_options=samples.FAST_TO_COMPILE)
    def all_three(key, image, padded, tight):
        return [augmentation(key, x) for x in (image, padded, tight)]

    padded = samples.pad(rng, np.asarray(image), 40, 52)
    tight = samples.pad(rng, np.asarray(image), *image.shape[:2])
    alone, *others = all_three(key, image, padded, tight)
    for got in others:
        np.testing.assert_allclose(got, alone, **helpers.TOLERANCE["image"])


@pytest.mark.parametrize("sampler", ["uniform_area", "tf_distorted_box"])
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
def test_crop_of_a_padded_image(rng, image, sampler, method, antialias):
    cropped = augment.RandomResizedCrop(
        size=(9, 12),
        sampler=sampler,
        method=method,
        antialias=antialias,
        flip_probability=0.5,
    )
    assert_same_if_padded(rng, jax.random.key(1), cropped, image)


@pytest.mark.parametrize("fit", ["proportion", "crop", "resize"])
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
def test_evaluation_of_a_padded_image(rng, key, image, fit, method, antialias):
    recipe = augment.evaluation(size=24, fit=fit, method=method, antialias=antialias)
    assert_same_if_padded(rng, key, recipe, image)
    # An image of the very size is left as it is.
    assert_same_if_padded(rng, key, recipe, image[:24, :24])


@pytest.mark.parametrize("proportion", [0.875, 0.9, 0.35, 1.0])
@pytest.mark.parametrize("size", [(16, 16), (12, 18)])
def test_center_crop_rounds_like_that_of_the_image(rng, proportion, size):
    """Odd and even sides, halves that round to even, all with one padded size."""
    crop = jax.jit(lambda x: ops.center_crop(x, size=size, proportion=proportion))
    for height, width in ((20, 20), (21, 34), (35, 29), (30, 40)):
        image = rng.random((height, width, 1), dtype=np.float32)
        got = crop(samples.pad(rng, image, 36, 44))
        np.testing.assert_allclose(
            got, crop(jnp.asarray(image)), **helpers.TOLERANCE["image"]
        )


def test_padded_image_smaller_than_the_crop_is_enlarged(rng):
    """The largest central region of the output's aspect ratio: here 16 x 16."""
    image = rng.random((16, 30, 1), dtype=np.float32)
    padded = samples.pad(rng, image, 40, 40)
    got = ops.center_crop(padded, size=20)
    expected = ops.resize(
        jnp.asarray(image[:, 7:23]), size=20, method="bicubic", antialias=True
    )
    np.testing.assert_allclose(
        got, jnp.clip(expected, 0.0, 1.0), **helpers.TOLERANCE["image"]
    )


def test_resize_of_a_padded_image(rng, key, image):
    def halve(key, x):
        return ops.resize(x, size=(16, 19))

    assert_same_if_padded(rng, key, halve, image)


def test_resample_box_of_a_padded_image(rng, key, image):
    box = ops.Box(*map(jnp.float32, (11.5, 20.25, 19.5, 17.75)))

    def cut(key, x):
        return ops.resample_box(x, box, size=8, method="bicubic")

    assert_same_if_padded(rng, key, cut, image)


def test_as_float_converts_to_0_1(rng):
    stored = rng.integers(0, 256, (2, 3, 4, 1), dtype=np.uint8)
    expected = (stored / 255.0).astype(np.float32)
    size = jnp.asarray([[2, 3], [3, 4]], jnp.int32)
    padded = augment.as_float(types.PaddedImages(jnp.asarray(stored), size))
    np.testing.assert_allclose(padded.pixels, expected, **helpers.TOLERANCE["image"])
    np.testing.assert_array_equal(padded.size, size)
    got = augment.as_float(jnp.asarray(stored))
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])
    np.testing.assert_array_equal(augment.as_float(jnp.asarray(expected)), expected)


def test_crop_reads_padded_bytes(rng, key):
    stored = jnp.asarray(rng.integers(0, 256, (1, 14, 14, 3), dtype=np.uint8))
    size = jnp.asarray([[9, 12]], jnp.int32)
    padded = types.PaddedImages(stored, size)
    one, same = (
        jax.tree.map(lambda x: x[0], c) for c in (padded, augment.as_float(padded))
    )
    crop = augment.RandomResizedCrop(size=6)
    np.testing.assert_allclose(
        crop(key, one),
        crop(key, same),
        **helpers.TOLERANCE["image"],
    )


def test_unpack(image):
    pixels, height, width = padded_module.unpack(image)
    assert pixels is image
    assert (height, width) == (31.0, 38.0)
    padded = types.PaddedImages(image, jnp.asarray([7, 9], jnp.int32))
    _, height, width = padded_module.unpack(padded)
    assert (float(height), float(width)) == (7.0, 9.0)


def test_rejects_padded_images_where_an_image_is_needed(key, image):
    batch = types.PaddedImages(image[None], jnp.asarray([[7, 9]], jnp.int32))
    one = types.PaddedImages(image, batch.size[0])
    flip, crop = augment.RandomHorizontalFlip(), augment.RandomResizedCrop(size=8)
    message = r"RandomHorizontalFlip.* needs an image and got a PaddedImages"
    for augmentation in (
        flip,
        augment.Chain((flip, crop)),
        augment.Chain((augment.Chain((flip,)), crop)),
    ):
        with pytest.raises(ValueError, match=message):
            augmentation(key, one)
        with pytest.raises(ValueError, match=message):
            augment.views(augment.sample_keys(key, 1), batch, augmentation)
    with pytest.raises(ValueError, match=message):
        maybe = (augment.RandomApply(flip, 0.5), crop)
        augment.views(augment.sample_keys(key, 1), batch, maybe)
    with pytest.raises(ValueError, match=r"<lambda>.* got a PaddedImages"):
        augment.Chain((lambda key, image: image,))(key, one)
    with pytest.raises(ValueError, match=r"got a PaddedImages"):
        augment.Chain(())(key, one)


def test_own_transform_may_accept_padded_images(key, image):
    class Corner(augment.Transform):
        def sample(self, key, image):
            return ()

        def apply(self, params, image):
            pixels = image.pixels if isinstance(image, types.PaddedImages) else image
            return pixels[:4, :4]

        def accepts_padded(self):
            return True

    padded = types.PaddedImages(image, jnp.asarray([7, 9], jnp.int32))
    got = augment.Chain((Corner(),))(key, padded)
    np.testing.assert_array_equal(got, image[:4, :4])
