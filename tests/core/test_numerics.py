import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax.core import numerics


@jax.jit
def normalize_and_pull(x, g):
    y, pull = jax.vjp(numerics.l2_normalize, x)
    return y, pull(g)[0]


def test_rows_have_unit_length(rng):
    x = rng.normal(size=(2, 5, 7)).astype(np.float32)
    norms = np.linalg.norm(numerics.l2_normalize(jnp.asarray(x)), axis=-1)
    np.testing.assert_allclose(norms, 1, rtol=1e-6)


@pytest.mark.parametrize("dim", [1, 7, 300])
def test_value_and_gradient_at_very_small_and_large_norms(rng, dim):
    norms = 10.0 ** np.arange(-30, 31, 5)
    x = rng.normal(size=(len(norms), dim)) + 0.1
    x *= norms[:, None] / np.linalg.norm(x, axis=1, keepdims=True)
    x, g = x.astype(np.float32), rng.normal(size=x.shape).astype(np.float32)
    got, gradient = normalize_and_pull(x, g)
    exact = x.astype(np.float64)
    norm = np.linalg.norm(exact, axis=1, keepdims=True)
    y = exact / norm
    np.testing.assert_allclose(got, y, rtol=1e-6, atol=1e-7)
    expected = g - y * np.sum(y * g, axis=1, keepdims=True)
    scaled = np.asarray(gradient, np.float64) * norm
    np.testing.assert_allclose(scaled, expected, atol=2e-6)


def test_scaling_by_a_power_of_two_gives_identical_bits(rng):
    x = rng.normal(size=(4, 9)).astype(np.float32)
    g = jnp.ones_like(x)
    one, gradient = normalize_and_pull(x, g)
    for exponent in (-90, -1, 3, 100):
        factor = np.float32(2.0**exponent)
        other, other_gradient = normalize_and_pull(factor * x, g)
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(gradient, other_gradient * factor)


def test_largest_and_smallest_normal_numbers():
    limits = np.finfo(np.float32)
    x = np.stack([[limits.max, limits.max], [limits.tiny, 0]]).astype(np.float32)
    y, _ = normalize_and_pull(x, jnp.ones_like(x))
    np.testing.assert_allclose(y, [[0.5**0.5, 0.5**0.5], [1, 0]], rtol=1e-6)


def test_zero_rows_stay_zero_with_zero_gradient():
    x = np.array([[0, 0, 0], [3, 0, 4]], np.float32)
    y, gradient = normalize_and_pull(x, jnp.ones_like(x))
    np.testing.assert_array_equal(y[0], np.zeros(3))
    np.testing.assert_array_equal(gradient[0], np.zeros(3))
    assert np.all(np.isfinite(gradient)) and np.any(gradient[1] != 0)


def test_non_finite_inputs_give_nan():
    x = np.array([[np.nan, 1], [np.inf, 1]], np.float32)
    assert np.isnan(numerics.l2_normalize(jnp.asarray(x))).any(axis=1).all()


def test_returns_float32_for_any_float_input():
    assert numerics.l2_normalize(jnp.ones((2, 3), jnp.bfloat16)).dtype == jnp.float32
    largest = jnp.full((1, 4), 6e4, jnp.float16)
    np.testing.assert_allclose(numerics.l2_normalize(largest), 0.5, rtol=1e-6)
