"""Mirror images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import augment


def test_probability_one_mirrors_and_zero_does_not(key, rng):
    image = jnp.asarray(rng.random((4, 6, 3)), jnp.float32)
    mirrored = augment.RandomHorizontalFlip(probability=1.0)(key, image)
    np.testing.assert_array_equal(mirrored, np.asarray(image)[:, ::-1])
    kept = augment.RandomHorizontalFlip(probability=0.0)(key, image)
    np.testing.assert_array_equal(kept, image)


def test_half_of_the_images_are_mirrored(key):
    image = jnp.asarray([[[0.0], [1.0]]])
    keys = jax.random.split(key, 4000)
    out = jax.vmap(augment.RandomHorizontalFlip(), in_axes=(0, None))(keys, image)
    # Four standard deviations of a share of 4,000 draws.
    assert abs(float(jnp.mean(out[:, 0, 0])) - 0.5) < 4 * 0.5 / np.sqrt(4000)


def test_errors():
    with pytest.raises(ValueError, match=r"probability must be in \[0.0, 1.0\]"):
        augment.RandomHorizontalFlip(probability=2.0)
