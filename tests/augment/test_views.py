"""Views depend on the step's key and the global index of the image, on nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import augment
from tests import helpers

two_views = jax.jit(augment.two_views, static_argnums=2)
RECIPES = {
    "mnist": (augment.mnist(size=12), (16, 14, 14, 1)),
    "simclr": (augment.simclr(size=20), (16, 24, 24, 3)),
}


@pytest.fixture(params=sorted(RECIPES))
def case(request, rng):
    recipe, shape = RECIPES[request.param]
    return recipe, jnp.asarray(rng.integers(0, 256, shape, dtype=np.uint8))


def assert_views_close(got, expected):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, **helpers.TOLERANCE["image"])


def test_views_match_a_loop_over_images(key, case):
    recipe, images = case
    a, b = two_views(key, images, recipe)
    alone = jax.jit(recipe)
    for index in range(3):
        keys = jax.random.split(jax.random.fold_in(key, index))
        image = jnp.float32(images[index]) / 255.0
        assert_views_close(
            (a[index], b[index]), (alone(keys[0], image), alone(keys[1], image))
        )


def test_views_of_a_part_are_part_of_the_views(key, rng):
    recipe, shape = RECIPES["simclr"]
    images = jnp.asarray(rng.integers(0, 256, shape, dtype=np.uint8))
    a, b = two_views(key, images, recipe)
    part = two_views(key, images[8:], recipe, first_index=8)
    assert_views_close(part, (a[8:], b[8:]))


def test_views_are_the_same_on_eight_devices_without_communication(
    key, case, make_mesh
):
    recipe, images = case
    expected = two_views(key, images, recipe)
    spec = jax.sharding.PartitionSpec("data")
    sharding = jax.sharding.NamedSharding(make_mesh(8), spec)
    images = jax.device_put(images, sharding)
    compiled = two_views.lower(key, images, recipe).compile()
    for collective in ("all-gather", "all-reduce", "all-to-all", "collective-permute"):
        assert collective not in compiled.as_text()
    got = compiled(key, images)
    assert got[0].sharding.is_equivalent_to(sharding, 4)
    assert_views_close(got, expected)


def test_views_differ_between_keys_views_and_images(key, case):
    recipe, images = case
    images = jnp.broadcast_to(images[:1], images.shape)
    a, b = two_views(key, images, recipe)
    other, _ = two_views(jax.random.key(1), images, recipe)
    for left, right in ((a, b), (a, other), (a, jnp.roll(a, 1, axis=0))):
        assert np.all(np.max(np.abs(left - right), axis=(1, 2, 3)) > 1e-3)


def test_jit_equals_eager(key, rng):
    recipe, shape = RECIPES["simclr"]
    image = jnp.asarray(rng.random(shape[1:]), jnp.float32)
    np.testing.assert_allclose(
        jax.jit(recipe)(key, image), recipe(key, image), **helpers.TOLERANCE["image"]
    )


def test_stored_images_become_floats_in_0_1(rng):
    stored = rng.integers(0, 256, (2, 3, 3, 1), dtype=np.uint8)
    expected = (stored / 255.0).astype(np.float32)
    got = augment.as_float(jnp.asarray(stored))
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])
    np.testing.assert_array_equal(augment.as_float(jnp.asarray(expected)), expected)


def test_sample_keys_are_folded_global_indices(key):
    keys = augment.sample_keys(key, 3, first_index=5)
    for index in range(3):
        assert keys[index] == jax.random.fold_in(key, 5 + index)
