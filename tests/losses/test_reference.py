import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import losses
from simclr_jax.core import errors
from tests.losses import oracles


@pytest.mark.parametrize("num_images, dim", [(2, 1), (16, 33)])
def test_equals_the_equation_one_number_at_a_time(rng, num_images, dim):
    a, b = oracles.views(rng, num_images, dim)
    loss = jax.jit(lambda a, b, t: losses.ntxent_reference(a, b, temperature=t))
    for temperature in (0.0625, 0.5, 8.0):  # Exact in float32.
        got = loss(a, b, jnp.float32(temperature))
        oracles.assert_value_close(got, oracles.ntxent_loop(a, b, temperature))
        oracles.assert_value_close(got, oracles.ntxent(a, b, temperature)[0])


@pytest.mark.parametrize("num_images, dim", [(2, 3), (16, 33)])
def test_gradient_is_p_plus_its_transpose_minus_positives(rng, num_images, dim):
    a, b = oracles.views(rng, num_images, dim)
    loss = functools.partial(losses.ntxent_reference, temperature=0.1)
    got = jax.jit(jax.grad(loss, argnums=(0, 1)))(a, b)
    oracles.assert_gradient_close(got, oracles.ntxent(a, b, 0.1)[1])


def test_orthogonal_images_reach_the_floor():
    x = jnp.eye(6)
    got = losses.ntxent_reference(x, 3 * x, temperature=0.5)
    oracles.assert_value_close(got, math.log(1 + 10 * math.exp(-2)))


def test_returns_float32_whatever_the_input():
    x = jnp.eye(4, dtype=jnp.bfloat16)
    got = losses.ntxent_reference(x, x.astype(jnp.float32), temperature=0.5)
    assert got.dtype == jnp.float32


def test_traced_temperature(rng):
    a, b = map(jnp.asarray, oracles.views(rng, 5, 3))
    loss = jax.jit(lambda t: losses.ntxent_reference(a, b, temperature=t))
    expected = losses.ntxent_reference(a, b, temperature=0.3)
    oracles.assert_value_close(loss(jnp.float32(0.3)), expected)


def test_errors_say_what_was_got():
    x = jnp.ones((3, 2))
    with pytest.raises(errors.UserError, match=r"at least 2 images"):
        losses.ntxent_reference(x[:1], x[:1], temperature=0.1)
    with pytest.raises(
        errors.UserError, match=r"temperature must be .* > 0; got -1\.0"
    ):
        losses.ntxent_reference(x, x, temperature=-1.0)
    assert np.isfinite(losses.ntxent_reference(x, x, temperature=0.1))
