import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from simclr_jax.core import errors
from simclr_jax.nn import convolution, normalization, pointwise
from tests.helpers import TOLERANCE

EPSILON = 1e-5


def plain(x, kernel, scale, bias):
    c = convolution.conv2d(x, kernel.astype(x.dtype)[None, None])
    return normalization.batch_norm(c, scale, bias, epsilon=EPSILON)


lean = functools.partial(pointwise.pointwise_batch_norm, epsilon=EPSILON)


@pytest.fixture
def arguments(rng):
    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape).astype(np.float32))

    # As after a ReLU, the mean of x is not zero.
    x = jnp.maximum(normal(8, 5, 3, 6) + 0.5, 0.0)
    return x, normal(6, 10) / 2, normal(10), normal(10)


def value_and_gradients(function, arguments):
    def loss(*arguments):
        y, mean, variance = function(*arguments)
        weight = jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)
        return jnp.sum(jnp.sin(y.astype(jnp.float32)) * weight), (y, mean, variance)

    gradient = jax.value_and_grad(loss, argnums=(0, 1, 2, 3), has_aux=True)
    (_, aux), grads = jax.jit(gradient)(*arguments)
    return aux + grads


def assert_all_close(actual, expected):
    for a, b in zip(actual, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        scale = float(np.abs(b).max())
        np.testing.assert_allclose(a / scale, b / scale, **TOLERANCE["convolution"])


def test_values_statistics_and_gradients_equal_the_separate_operations(arguments):
    actual = value_and_gradients(lean, arguments)
    assert_all_close(actual, value_and_gradients(plain, arguments))


def test_native_products_equal_the_cpu_products(arguments, monkeypatch):
    expected = value_and_gradients(lean, arguments)
    monkeypatch.setattr(
        jax.lax, "platform_dependent", lambda *args, cpu, default: default(*args)
    )
    assert_all_close(value_and_gradients(lambda *a: lean(*a), arguments), expected)


def test_bfloat16_is_as_accurate_as_the_separate_operations(arguments):
    x, *rest = arguments
    x = x.astype(jnp.bfloat16)
    kernel = rest[0].astype(jnp.bfloat16).astype(jnp.float32)
    exact = value_and_gradients(plain, (x.astype(jnp.float32), kernel, *rest[1:]))
    ours = value_and_gradients(lean, (x, *rest))
    theirs = value_and_gradients(plain, (x, *rest))
    for mine, other, wanted in zip(ours, theirs, exact, strict=True):
        assert mine.dtype == other.dtype
        distance = lambda array, wanted=wanted: float(
            jnp.linalg.norm((array.astype(jnp.float32) - wanted).ravel())
        )
        assert distance(mine) <= 1.5 * distance(other) + 1e-5 * distance(0 * wanted)


def test_a_sharded_batch_uses_global_statistics(arguments):
    mesh = Mesh(np.array(jax.devices()), ("data",))
    x, *rest = arguments
    split = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
    actual = value_and_gradients(lean, (split, *rest))
    assert_all_close(actual, value_and_gradients(lean, arguments))


def test_constant_inputs_give_finite_results():
    x = jnp.full((2, 2, 2, 3), 1e4)
    ones = jnp.ones(4)
    results = value_and_gradients(lean, (x, jnp.ones((3, 4)), ones, ones))
    assert all(np.isfinite(result).all() for result in results)


def test_the_convolution_output_is_not_saved(arguments):
    x, kernel, scale, bias = arguments
    _, pullback = jax.vjp(lambda *a: lean(*a)[0], x, kernel, scale, bias)
    kept = [leaf.shape for leaf in jax.tree.leaves(pullback)]
    assert x.shape in kept
    assert (*x.shape[:3], kernel.shape[1]) not in kept


def test_errors(arguments):
    x, kernel, scale, bias = arguments
    with pytest.raises(errors.UserError, match=r"channels c of the images; got"):
        lean(x[..., :-1], kernel, scale, bias)


@pytest.mark.parametrize(("ratio", "bound"), [(100.0, 3e-5), (1000.0, 4e-4)])
def test_errors_at_a_large_mean_do_not_exceed_pytorch(rng, ratio, bound):
    x = jnp.asarray(rng.normal(ratio, 1.0, size=(16, 8, 8, 32)).astype(np.float32))
    kernel = jnp.asarray((rng.normal(size=(32, 16)) / 32**0.5).astype(np.float32))

    def exact(c):
        c = np.asarray(c, np.float64)
        return (c - c.mean((0, 1, 2))) / np.sqrt(c.var((0, 1, 2)) + EPSILON)

    y, _, variance = lean(x, kernel, jnp.ones(16), jnp.zeros(16))
    c = np.asarray(x, np.float64) @ np.asarray(kernel, np.float64)
    np.testing.assert_allclose(variance, c.var((0, 1, 2)), rtol=1e-5)
    # The float32 convolution has rounding errors that BatchNorm cannot remove.
    narrow = np.abs(exact(convolution.conv2d(x, kernel[None, None])) - exact(c)).max()
    assert np.abs(y - exact(c)).max() < narrow + bound
