import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simclr_jax.nn import layers, normalization, pooling
from tests.helpers import TOLERANCE

EPSILON = 1e-5


def plain(x, scale, bias):
    y, mean, variance = normalization.batch_norm(x, scale, bias, epsilon=EPSILON)
    return pooling.max_pool_3x3(y), mean, variance


def lean(x, scale, bias):
    return pooling.batch_norm_max_pool(x, scale, bias, epsilon=EPSILON)


def value_and_gradients(function, arguments):
    def loss(*arguments):
        y, mean, variance = function(*arguments)
        weight = jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)
        return jnp.sum(jnp.sin(y) * weight), (y, mean, variance)

    gradient = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)
    (_, aux), grads = jax.jit(gradient)(*arguments)
    return aux + grads


@pytest.mark.parametrize("side", [7, 8])
def test_values_statistics_and_gradients_equal_the_separate_operations(rng, side):
    # Whole numbers, so that many pixels tie.
    x = jnp.asarray(rng.integers(-3, 4, size=(4, side, side, 5)).astype(np.float32))
    scale = jnp.asarray([0.5, 1.0, 2.0, 0.1, 1.5])
    bias = jnp.asarray([0.1, 0.0, 3.0, -2.0, 0.5])
    actual = value_and_gradients(lean, (x, scale, bias))
    expected = value_and_gradients(plain, (x, scale, bias))
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape
        largest = float(np.abs(b).max())
        np.testing.assert_allclose(a / largest, b / largest, **TOLERANCE["convolution"])


def test_pooled_equals_pooling_after_relu_for_any_sign_of_the_scale(rng):
    x = jnp.asarray(rng.normal(size=(4, 12, 12, 3)).astype(np.float32))
    layer = layers.ConvNormReLU(3, 6, 7, stride=2, rngs=nnx.Rngs(0))
    layer.norm.scale[...] = jnp.asarray([1.0, -1.0, 0.5, -0.5, 2.0, -2.0])
    layer.norm.bias[...] = jnp.asarray(rng.normal(size=6).astype(np.float32))
    graphdef, params, rest = nnx.split(layer, nnx.Param, ...)

    def run(apply):
        def loss(params):
            model = nnx.merge(graphdef, params, rest, copy=True)
            y = apply(model, x)
            return jnp.sum(y * jnp.cos(3 * y)), (y, nnx.state(model, nnx.BatchStat))

        gradient = jax.value_and_grad(loss, has_aux=True)
        (_, aux), grads = jax.jit(gradient)(params)
        return jax.tree.leaves((aux, grads))

    actual = run(lambda model, x: model.pooled(x))
    expected = run(lambda model, x: pooling.max_pool_3x3(model(x)))
    assert len(actual) == 6
    for a, b in zip(actual, expected, strict=True):
        largest = float(np.abs(b).max())
        np.testing.assert_allclose(a / largest, b / largest, **TOLERANCE["convolution"])


def test_a_frozen_layer_uses_the_separate_operations(rng):
    x = jnp.asarray(rng.normal(size=(2, 8, 8, 3)).astype(np.float32))
    layer = layers.ConvNormReLU(3, 4, 7, stride=2, rngs=nnx.Rngs(0))
    frozen = nnx.view(layer, use_running_average=True)
    before = np.array(layer.norm.mean[...])
    np.testing.assert_array_equal(frozen.pooled(x), pooling.max_pool_3x3(frozen(x)))
    np.testing.assert_array_equal(layer.norm.mean[...], before)


@pytest.mark.parametrize(("ratio", "bound"), [(100.0, 3e-5), (1000.0, 4e-4)])
def test_errors_at_a_large_mean_do_not_exceed_pytorch(rng, ratio, bound):
    x = jnp.asarray(rng.normal(ratio, 1.0, size=(16, 12, 12, 4)).astype(np.float32))
    wide = np.asarray(x, np.float64)
    hat = (wide - wide.mean((0, 1, 2))) / np.sqrt(wide.var((0, 1, 2)) + EPSILON)
    expected = pooling.max_pool_3x3(jnp.asarray(hat, jnp.float32))
    y, _, variance = lean(x, jnp.ones(4), jnp.zeros(4))
    assert np.abs(y - expected).max() < bound
    np.testing.assert_allclose(variance, wide.var((0, 1, 2)), rtol=1e-5)
    # Gradients equal those of the separate operations for near and distant pivots.
    arguments = (x, jnp.ones(4), jnp.zeros(4))
    near = functools.partial(
        pooling.batch_norm_max_pool, epsilon=EPSILON, pivot=jnp.full(4, ratio)
    )
    expected = value_and_gradients(plain, arguments)
    for function in (lean, near):
        for a, b in zip(
            value_and_gradients(function, arguments), expected, strict=True
        ):
            largest = float(np.abs(b).max())
            np.testing.assert_allclose(a / largest, b / largest, rtol=0, atol=bound)


def test_pooled_normalizes_each_group_separately(rng):
    x = jnp.asarray(rng.normal(size=(4, 8, 8, 3)).astype(np.float32))
    layer = layers.ConvNormReLU(3, 4, 7, stride=2, rngs=nnx.Rngs(0))
    parts = [layer.pooled(part) for part in jnp.split(x, 2)]
    got = nnx.view(layer, num_groups=2).pooled(x)
    np.testing.assert_allclose(got, jnp.concatenate(parts), atol=1e-5)
