"""Tests that per-sample keys are passed only to encoders that accept them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simclr_jax import encoders

pytestmark = pytest.mark.quick


class Keyed(nnx.Module):
    """A linear map with dropout of the pixels, by the key of each image."""

    def __init__(self, *, rngs):
        self.linear = nnx.Linear(48, 5, rngs=rngs)

    def __call__(self, images, *, keys=None):
        x = images.reshape(images.shape[0], -1)
        if keys is not None:
            kept = jax.vmap(lambda key: jax.random.bernoulli(key, 0.5, (48,)))(keys)
            x = jnp.where(kept, 2.0 * x, 0.0)
        return self.linear(x)


@pytest.fixture
def images(rng):
    return jnp.asarray(rng.random((16, 4, 4, 3), dtype=np.float32))


@pytest.fixture
def keys(key):
    return jax.random.split(key, 16)


def test_passes_keys_to_encoders_that_accept_them(images, keys):
    encoder = Keyed(rngs=nnx.Rngs(0))
    with_keys = encoders.apply(encoder, images, keys=keys)
    np.testing.assert_array_equal(with_keys, encoder(images, keys=keys))
    without = encoders.apply(encoder, images)
    np.testing.assert_array_equal(without, encoder(images))
    assert np.abs(with_keys - without).max() > 0.1


def test_calls_other_encoders_without_keys(images, keys):
    plain = lambda images: images.mean((1, 2))
    np.testing.assert_array_equal(
        encoders.apply(plain, images, keys=keys), plain(images)
    )
    assert not encoders.takes_keys(plain)
    assert not encoders.takes_keys(functools.partial(plain))
    convnet = encoders.ConvNet(image_shape=(4, 4, 3), rngs=nnx.Rngs(0))
    assert not encoders.takes_keys(convnet)
    assert encoders.takes_keys(Keyed(rngs=nnx.Rngs(0)))
    assert encoders.takes_keys(Keyed.__call__)


def test_batch_layout_does_not_affect_results(images, keys, make_mesh):
    run = functools.partial(encoders.apply, Keyed(rngs=nnx.Rngs(0)))
    expected = run(images, keys=keys)
    split = jax.NamedSharding(make_mesh(8), jax.P("data"))
    sharded = jax.jit(lambda images, keys: run(images, keys=keys))(
        *jax.device_put((images, keys), split)
    )
    np.testing.assert_allclose(sharded, expected, rtol=1e-5, atol=1e-6)
    parts = [run(images[i::4], keys=keys[i::4]) for i in range(4)]
    joined = jnp.stack(parts, axis=1).reshape(16, -1)
    np.testing.assert_allclose(joined, expected, rtol=1e-5, atol=1e-6)
