"""Views depend only on the image and its key."""

import inspect
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import augment
from simclr_jax.augment.resizing import resample
from simclr_jax.core import types
from tests import helpers
from tests.augment import samples

views = samples.views
COLLECTIVES = ("all-gather", "all-reduce", "all-to-all", "collective-permute")


@pytest.fixture
def images(rng):
    return jnp.asarray(rng.integers(0, 256, samples.IMAGES, dtype=np.uint8))


@pytest.fixture
def padded(rng, images):
    """Images of many sizes, padded with random bytes."""
    size = rng.integers(14, 25, (8, 2), dtype=np.int32)
    return types.PaddedImages(images, jnp.asarray(size))


def assert_views_close(got, expected):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, **helpers.TOLERANCE["image"])


@pytest.fixture
def key():
    """The keys of the images."""
    return augment.sample_keys(jax.random.key(0), samples.IMAGES[0])


one_view = jax.jit(
    lambda augmentation, key, image: augmentation(key, image),
    static_argnums=0,
    compiler_options=samples.FAST_TO_COMPILE,
)


def one_by_one(keys, image, index, recipe):
    """Makes each view of one image alone, without a batch; groups them by size."""
    augmentations = augment.members(recipe)
    keys = jax.random.split(keys[index], len(augmentations))
    made = {}
    for augmentation, view_key in zip(augmentations, keys, strict=True):
        view = one_view(augmentation, view_key, image)
        made.setdefault(view.shape, []).append(view)
    return [jnp.stack(group) for group in made.values()]


@pytest.mark.parametrize("name", sorted(samples.SMALL))
def test_view_is_the_same_alone_and_in_a_batch(key, images, name):
    recipe = samples.small(name)
    made = views(key, images, recipe)
    alone = one_by_one(key, augment.as_float(images)[5], 5, recipe)
    assert_views_close([array[5] for array in made], alone)


@pytest.mark.parametrize("name", sorted(samples.SMALL))
def test_view_of_a_padded_image_equals_that_of_the_image(key, padded, name):
    recipe = samples.small(name)
    made = views(key, padded, recipe)
    height, width = padded.size[5]
    image = augment.as_float(padded.pixels)[5, :height, :width]
    assert_views_close([array[5] for array in made], one_by_one(key, image, 5, recipe))


@pytest.mark.parametrize("name", sorted(samples.SMALL))
@pytest.mark.parametrize("kind", ["images", "padded"])
def test_views_are_the_same_on_eight_devices_without_communication(
    request, key, make_mesh, name, kind
):
    recipe, batch = samples.small(name), request.getfixturevalue(kind)
    spec = jax.sharding.PartitionSpec("data")
    sharding = jax.sharding.NamedSharding(make_mesh(8), spec)
    sharded = jax.device_put(batch, sharding)
    compiled = views.lower(key, sharded, recipe).compile()
    assert not any(name in compiled.as_text() for name in COLLECTIVES)
    got = compiled(key, sharded)
    for array in got:
        assert array.sharding.is_equivalent_to(sharding, 5)
    assert_views_close(got, views(key, batch, recipe))


@pytest.mark.parametrize("kind", ["images", "padded"])
def test_a_loop_over_large_images_makes_the_same_views(request, key, monkeypatch, kind):
    """As on a small CPU; byol has every operation."""
    recipe, batch = samples.small("byol"), request.getfixturevalue(kind)
    expected = views(key, batch, recipe)
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(resample, "LARGE", 1)
    looped = jax.jit(
        lambda key, batch: augment.views(key, batch, recipe),
        compiler_options=samples.FAST_TO_COMPILE,
    )
    assert " while(" in looped.lower(key, batch).compile().as_text()
    assert_views_close(looped(key, batch), expected)


@pytest.mark.parametrize("name", ["mnist", "swav"])
@pytest.mark.parametrize("kind", ["images", "padded"])
def test_views_of_part_of_a_batch_are_part_of_its_views(request, key, name, kind):
    recipe, batch = samples.small(name), request.getfixturevalue(kind)
    last = jax.tree.map(lambda x: x[4:], batch)
    part = samples.views(key[4:], last, recipe)
    assert_views_close(part, [array[4:] for array in views(key, batch, recipe)])


def test_jit_equals_eager(key, images):
    """Compiled with all optimizations, as users do."""
    key, images, recipe = key[:2], images[:2, :12, :12, :1], augment.mnist(size=10)
    optimized = jax.jit(
        augment.views,
        static_argnums=2,
        compiler_options={"xla_backend_optimization_level": "3"},
    )(key, images, recipe)
    assert_views_close(optimized, augment.views(key, images, recipe))


@pytest.mark.parametrize("name", samples.RANDOM)
def test_views_differ_between_keys_views_and_images(key, images, name):
    recipe = samples.small(name)
    images = jnp.broadcast_to(images[:1], images.shape)
    other = views(augment.sample_keys(jax.random.key(1), 8), images, recipe)
    for made, others in zip(views(key, images, recipe), other, strict=True):
        a, b = made[:, 0], made[:, 1]
        for left, right in ((a, b), (a, others[:, 0]), (a, jnp.roll(a, 1, axis=0))):
            assert np.all(np.max(np.abs(left - right), axis=(1, 2, 3)) > 1e-3)


def test_views_are_grouped_by_size_in_the_order_of_the_recipe(key, images):
    """Small, large, small, another large: interleaved sizes and unequal members."""
    small, large = (augment.RandomResizedCrop(size=size) for size in (8, 12))
    other = augment.RandomResizedCrop(size=8, area=(0.5, 1.0))
    recipe = (small, large, other, small, large)
    made = views(key, images, recipe)
    assert [array.shape for array in made] == [(8, 3, 8, 8, 3), (8, 2, 12, 12, 3)]
    image = augment.as_float(images)[2]
    assert_views_close([array[2] for array in made], one_by_one(key, image, 2, recipe))


def test_equal_augmentations_are_traced_once(key, images):
    calls = []

    def count(key, image):
        calls.append(1)
        return image

    augment.views(key, images, (count,) * 5)
    assert len(calls) == 1


def test_two_views_are_the_views_of_a_pair(key, images):
    two_views = jax.jit(
        augment.two_views, static_argnums=2, compiler_options=samples.FAST_TO_COMPILE
    )
    for recipe in (samples.small("simclr_v2"), samples.small("byol")):
        (expected,) = views(key, images, recipe)
        a, b = two_views(key, images, recipe)
        assert_views_close((a, b), (expected[:, 0], expected[:, 1]))


def test_an_augmentation_and_a_pair_of_it_make_the_same_views(key, images):
    recipe = samples.small("simclr_v2")
    assert augment.members(recipe) == (recipe, recipe)
    assert_views_close(views(key, images, recipe), views(key, images, (recipe, recipe)))


def test_errors(key, images):
    def trace(function, recipe):
        return jax.eval_shape(lambda key, x: function(key, x, recipe), key, images)

    with pytest.raises(ValueError, match=r"makes 2 of 20 x 20 .* and 3 of 12 x 12"):
        trace(augment.two_views, samples.small("swav"))
    crop = augment.RandomResizedCrop(size=8)
    with pytest.raises(ValueError, match=r"two views of one size.*3 of 8 x 8"):
        trace(augment.two_views, (crop,) * 3)
    with pytest.raises(ValueError, match=r"a key for each of the 8 images; got keys"):
        inspect.unwrap(augment.views)(key[:3], images, crop)
    with pytest.raises(ValueError, match=r"one augmentation for each view; got none"):
        trace(augment.views, ())
