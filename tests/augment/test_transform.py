"""Composition: keys of the stages, equality, options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import augment


def add_noise(key, image, *, scale=1.0):
    return image + scale * jax.random.uniform(key, image.shape)


def cut(key, image):
    return image[:1]


def test_chain_splits_the_key_once(key):
    image = jnp.zeros((2, 2, 1))
    first, second = jax.random.split(key)
    expected = add_noise(second, add_noise(first, image))
    got = augment.chain(add_noise, add_noise)(key, image)
    np.testing.assert_array_equal(got, expected)


def test_empty_chain_is_nothing(key):
    image = jnp.ones((2, 2, 1))
    np.testing.assert_array_equal(augment.chain()(key, image), image)


def test_with_probability(key):
    image = jnp.zeros((1, 1, 1))
    keys = jax.random.split(key, 4000)
    some = augment.with_probability(add_noise, 0.3)
    out = jax.vmap(some, in_axes=(0, None))(keys, image)
    share = float(jnp.mean(out > 0.0, dtype=jnp.float32))
    # Four standard deviations of a share of 4,000 draws.
    assert abs(share - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 4000)


def test_bound_options_become_hashable_and_print():
    bound = augment.bind(augment.random_resized_crop, size=[24, 24], area=[0.3, 1.0])
    same = augment.bind(augment.random_resized_crop, area=(0.3, 1.0), size=(24, 24))
    assert bound == same
    assert hash(bound) == hash(same)
    assert repr(bound) == "random_resized_crop(area=(0.3, 1.0), size=(24, 24))"


def test_repr_of_a_composition():
    flip = augment.bind(augment.random_horizontal_flip)
    got = repr(augment.chain(flip, augment.with_probability(flip, 0.5)))
    assert got == "random_horizontal_flip() > random_horizontal_flip() with p = 0.5"
    assert repr(augment.chain()) == "nothing"


def test_errors(key):
    with pytest.raises(ValueError, match=r"option of add_noise 'sacle'.*mean 'scale'"):
        augment.bind(add_noise, sacle=2.0)
    with pytest.raises(ValueError, match=r"probability must be in"):
        augment.with_probability(add_noise, 1.2)
    with pytest.raises(ValueError, match=r"keeps the shape; .*cut"):
        augment.with_probability(cut, 0.5)(key, jnp.zeros((2, 2, 1)))
