import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import losses
from simclr_jax.core import errors
from tests.losses import oracles

step = jax.jit(jax.value_and_grad(losses.negative_cosine, (0, 1)))


def test_value_and_gradient(rng):
    p, z = oracles.views(rng, 9, 5)
    value, gradient = step(p, z)
    (u, p_norm), (v, z_norm) = oracles.normalized(p), oracles.normalized(z)
    oracles.assert_value_close(value, -np.mean(np.sum(u * v, axis=1)))
    oracles.assert_gradient_close(gradient[0], oracles.pulled(-v / 9, u, p_norm))
    oracles.assert_gradient_close(gradient[1], oracles.pulled(-u / 9, v, z_norm))


def test_byol_loss_is_the_squared_distance_of_unit_rows(rng):
    p, z = oracles.views(rng, 9, 5)
    squared = (oracles.normalized(p)[0] - oracles.normalized(z)[0]) ** 2
    oracles.assert_value_close(2 + 2 * step(p, z)[0], np.mean(squared.sum(axis=1)))


def test_extreme_inputs_and_types(rng):
    x = rng.normal(size=(9, 5)).astype(np.float32)
    np.testing.assert_allclose(step(x, 1e30 * x)[0], -1, rtol=1e-6)
    np.testing.assert_allclose(step(x, -1e-30 * x)[0], 1, rtol=1e-6)
    value, gradient = step(0 * x, x)
    assert value == 0 and not np.any(gradient[0])
    half = jnp.asarray(x, jnp.bfloat16)
    value, gradient = step(half, half)
    np.testing.assert_allclose(value, -1, rtol=1e-6)
    assert value.dtype == jnp.float32 and gradient[0].dtype == jnp.bfloat16


def test_errors_report_the_value():
    x = jnp.ones((3, 2))
    with pytest.raises(errors.UserError, match=r"negative_cosine needs at least 1"):
        losses.negative_cosine(
            x[:0],
            x[:0],
        )
