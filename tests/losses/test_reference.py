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
def test_equals_equation_1_in_plain_loops(rng, num_images, dim):
    a, b = oracles.views(rng, num_images, dim)
    loss = jax.jit(lambda a, b, t: losses.ntxent_reference(a, b, temperature=t))
    for temperature in (0.0625, 0.5, 8.0):  # exact in float32
        got = loss(a, b, jnp.float32(temperature))
        oracles.assert_value_close(got, oracles.ntxent_loop(a, b, temperature))
        oracles.assert_value_close(got, oracles.ntxent(a, b, temperature)[0])


@pytest.mark.parametrize("num_images, dim", [(2, 3), (16, 33)])
def test_gradient_equals_the_closed_form(rng, num_images, dim):
    a, b = oracles.views(rng, num_images, dim)
    loss = functools.partial(losses.ntxent_reference, temperature=0.1)
    got = jax.jit(jax.grad(loss, argnums=(0, 1)))(a, b)
    oracles.assert_gradient_close(got, oracles.ntxent(a, b, 0.1)[1])


def test_orthogonal_images_reach_the_floor():
    x = jnp.eye(6)
    loss = jax.jit(functools.partial(losses.ntxent_reference, temperature=0.5))
    got = loss(x, 3 * x)
    oracles.assert_value_close(got, math.log(1 + 10 * math.exp(-2)))


def test_returns_float32_for_any_float_input():
    x = jnp.eye(4, dtype=jnp.bfloat16)
    got = losses.ntxent_reference(x, x.astype(jnp.float32), temperature=0.5)
    assert got.dtype == jnp.float32


def test_traced_temperature_equals_a_number(rng):
    a, b = map(jnp.asarray, oracles.views(rng, 5, 3))
    loss = jax.jit(lambda t: losses.ntxent_reference(a, b, temperature=t))
    expected = losses.ntxent_reference(a, b, temperature=0.3)
    oracles.assert_value_close(loss(jnp.float32(0.3)), expected)


def test_errors_report_the_value():
    x = jnp.ones((3, 2))
    with pytest.raises(errors.UserError, match=r"at least 2 images"):
        losses.ntxent_reference(x[:1], x[:1], temperature=0.1)
    with pytest.raises(
        errors.UserError, match=r"temperature must be .* > 0; got -1\.0"
    ):
        losses.ntxent_reference(x, x, temperature=-1.0)
    assert np.isfinite(losses.ntxent_reference(x, x, temperature=0.1))


@pytest.mark.parametrize("num_views", [1, 3])
def test_supcon_equals_the_oracle(rng, num_views):
    views = rng.normal(size=(8, num_views, 5)).astype(np.float32)
    labels = np.array([0, 1, 1, 0, 2, 1, 9, 0], np.int32)
    loss = functools.partial(losses.supcon_reference, temperature=0.25)
    value, gradient = jax.jit(jax.value_and_grad(loss))(views, labels)
    expected = oracles.supcon(views, labels, 0.25)
    oracles.assert_value_close(value, expected[0])
    oracles.assert_gradient_close(gradient, expected[1])


def test_supcon_equals_equation_2_in_plain_loops(rng):
    views = rng.normal(size=(4, 2, 3)).astype(np.float32)
    labels = [0, 1, 1, 5]
    z = oracles.normalized(views)[0].reshape(8, 3)
    label, total = np.repeat(labels, 2), 0.0
    for i in range(8):
        others = [a for a in range(8) if a != i]
        positives = [p for p in others if label[p] == label[i]]
        denominator = sum(math.exp(z[i] @ z[a] / 0.5) for a in others)
        for p in positives:
            ratio = math.exp(z[i] @ z[p] / 0.5) / denominator
            total -= math.log(ratio) / len(positives)
    got = oracles.supcon(views, np.array(labels), 0.5)[0]
    np.testing.assert_allclose(got, total / 8, rtol=1e-12)
