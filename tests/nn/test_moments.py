"""Tests of the moments against float64, including means far from zero."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax.nn import moments

EPSILON = 1e-5
SHAPE = (64, 6, 5, 8)


def sample(rng, ratio, dtype=np.float32):
    return jnp.asarray(rng.normal(ratio, 1.0, SHAPE), dtype)


@functools.partial(jax.jit, static_argnums=2)
def run(x, pivot, epsilon=EPSILON):
    return moments.moments(x, pivot, epsilon=epsilon)


@pytest.mark.parametrize("pivot", ["zero", "near", "exact"])
@pytest.mark.parametrize("ratio", [0.0, 1.0, 10.0, 1e3, 1e5])
def test_moments_equal_float64(rng, ratio, pivot):
    x = sample(rng, ratio)
    wide = np.asarray(x, np.float64)
    start = {"zero": 0.0, "near": ratio + 0.5, "exact": ratio}[pivot]
    found = run(x, jnp.full(8, start, jnp.float32))
    np.testing.assert_allclose(found.variance, wide.var((0, 1, 2)), rtol=3e-6)
    # Summed in float64: one float32 cannot represent the mean to this accuracy.
    mean = np.asarray(found.pivot, np.float64) + np.asarray(found.offset, np.float64)
    bound = 1e-6 + 3e-7 * ratio
    np.testing.assert_allclose(mean, wide.mean((0, 1, 2)), rtol=0, atol=bound)


def test_only_distant_pivots_need_a_second_pass():
    far = functools.partial(moments.is_far, epsilon=EPSILON)
    one = jnp.ones(2)
    assert not far(jnp.asarray([0.9, -0.9]), one)
    assert far(jnp.asarray([0.0, -1.1]), one)
    assert not far(jnp.asarray([0.0, 2.9]), one) or moments.MAX_DISTANCE < 2.9
    # A constant channel near its pivot needs no second pass despite zero variance.
    assert not far(jnp.asarray([1e-3, 0.0]), 0 * one)


def test_moments_of_each_group(rng):
    x = jnp.stack([sample(rng, 0.0), sample(rng, 100.0)])
    found = run(x, jnp.zeros((2, 8)))
    wide = np.asarray(x, np.float64)
    np.testing.assert_allclose(found.mean, wide.mean((1, 2, 3)), rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.variance, wide.var((1, 2, 3)), rtol=3e-6)


@pytest.mark.parametrize("ratio", [0.0, 100.0])
def test_eight_devices_equal_one(rng, make_mesh, ratio):
    x, pivot = sample(rng, ratio), jnp.zeros(8)
    split = jax.device_put(x, jax.NamedSharding(make_mesh(8), jax.P("data")))
    got, expected = run(split, pivot), run(x, pivot)
    np.testing.assert_allclose(got.mean, expected.mean, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(got.variance, expected.variance, rtol=1e-6)


def test_normalize_centers_before_it_scales(rng):
    x = sample(rng, 1e4)
    wide = np.asarray(x, np.float64)
    found = run(x, jnp.full(8, 1e4))
    slope, bias = jnp.full(8, 2.0), jnp.full(8, 0.5)
    y = moments.normalize(x, found, slope, bias)
    expected = (wide - wide.mean((0, 1, 2))) * 2.0 + 0.5
    np.testing.assert_allclose(y, expected, rtol=0, atol=3e-3)


def test_like_and_row_axes():
    x = jnp.zeros((2, 4, 3, 3, 5))
    assert moments.like(jnp.zeros((2, 5)), x).shape == (2, 1, 1, 1, 5)
    assert moments.row_axes(jnp.zeros((2, 5)), x) == (1, 2, 3)
    assert moments.row_axes(jnp.zeros(5), x) == (0, 1, 2, 3)
