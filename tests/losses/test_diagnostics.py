import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import losses
from simclr_jax.core import errors
from simclr_jax.losses.similarity import algorithms
from tests import helpers
from tests.losses import oracles

KEYS = {
    "alignment",
    "chance_loss",
    "contrastive_accuracy",
    "entropy",
    "floor_loss",
    "uniformity",
}


def loss_and_metrics(a, b, temperature, mesh=None):
    loss = functools.partial(
        losses.ntxent_with_metrics, temperature=temperature, mesh=mesh
    )
    return jax.jit(loss)(a, b)


def assert_metrics_close(got, expected):
    assert set(got) == KEYS
    for name, value in got.items():
        assert value.dtype == jnp.float32 and value.shape == ()
        np.testing.assert_allclose(
            value, expected[name], **helpers.TOLERANCE["loss_gradient"], err_msg=name
        )


@pytest.mark.parametrize(
    "num_images, dim, temperature, noise, tile_rows",
    [
        (2, 3, 0.1, 1.0, 1024),
        (50, 40, 0.02, 1.5, 1024),
        (21, 6, 0.5, 0.3, 16),
        (50, 40, 0.1, 1.0, 16),
        (50, 40, 0.02, 1.5, 16),
    ],
)
def test_metrics_equal_the_oracle(
    rng, monkeypatch, num_images, dim, temperature, noise, tile_rows
):
    monkeypatch.setitem(algorithms.TILE_ROWS, "cpu", tile_rows)
    a, b = oracles.views(rng, num_images, dim, noise=noise)
    loss, metrics = loss_and_metrics(a, b, temperature)
    expected, _, expected_metrics = oracles.ntxent(a, b, temperature)
    oracles.assert_value_close(loss, expected)
    assert_metrics_close(metrics, expected_metrics)


@pytest.mark.parametrize("num_devices, temperature", [(2, 0.1), (4, 0.02)])
def test_devices_do_not_affect_metrics(
    rng, make_mesh, monkeypatch, num_devices, temperature
):
    monkeypatch.setitem(algorithms.TILE_ROWS, "cpu", 16)
    a, b = oracles.views(rng, 40, 6, noise=0.5)
    loss, metrics = loss_and_metrics(a, b, temperature, make_mesh(num_devices))
    expected, _, expected_metrics = oracles.ntxent(a, b, temperature)
    oracles.assert_value_close(loss, expected)
    assert_metrics_close(metrics, expected_metrics)


@pytest.mark.parametrize("num_devices", [0, 4])
def test_loss_and_gradient_equal_those_of_ntxent(rng, make_mesh, num_devices):
    mesh = make_mesh(num_devices) if num_devices else None
    a, b = oracles.views(rng, 12, 6)
    both = functools.partial(losses.ntxent_with_metrics, temperature=0.1, mesh=mesh)
    loss = functools.partial(losses.ntxent, temperature=0.1, mesh=mesh)
    (got, _), gradient = jax.jit(jax.value_and_grad(both, (0, 1), has_aux=True))(a, b)
    expected = jax.jit(jax.value_and_grad(loss, (0, 1)))(a, b)
    oracles.assert_value_close(got, expected[0])
    oracles.assert_gradient_close(gradient, expected[1])


def test_metrics_have_no_gradient(rng):
    a, b = map(jnp.asarray, oracles.views(rng, 6, 4))

    def total(a, b, temperature):
        metrics = losses.ntxent_with_metrics(a, b, temperature=temperature)[1]
        return sum(metrics.values())

    gradients = jax.jit(jax.grad(total, (0, 1, 2)))(a, b, jnp.float32(0.1))
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, jnp.zeros_like(gradient))


@pytest.mark.parametrize("num_devices", [0, 8])
def test_metrics_of_a_collapsed_encoder(make_mesh, num_devices):
    mesh = make_mesh(num_devices) if num_devices else None
    x = jnp.full((16, 7), 0.3)
    loss, metrics = loss_and_metrics(x, x, 0.1, mesh)
    oracles.assert_value_close(loss, metrics["chance_loss"])
    oracles.assert_value_close(metrics["entropy"], metrics["chance_loss"])
    assert metrics["contrastive_accuracy"] == 0
    np.testing.assert_allclose(metrics["alignment"], 0, atol=1e-6)
    np.testing.assert_allclose(metrics["uniformity"], 0, atol=1e-6)


def test_metrics_of_perfect_embeddings():
    x = jnp.eye(10)
    loss, metrics = loss_and_metrics(x, x, 0.5)
    oracles.assert_value_close(loss, metrics["floor_loss"])
    assert metrics["contrastive_accuracy"] == 1
    assert metrics["alignment"] == 0
    oracles.assert_value_close(metrics["uniformity"], -4.0)


def test_metrics_with_a_traced_temperature(rng):
    a, b = oracles.views(rng, 10, 6)
    x, y = jnp.asarray(a), jnp.asarray(b)
    loss = jax.jit(lambda t: losses.ntxent_with_metrics(x, y, temperature=t))
    _, metrics = loss(jnp.float32(0.25))
    assert_metrics_close(metrics, oracles.ntxent(a, b, 0.25)[2])


def test_zero_rows_give_finite_metrics():
    loss, metrics = loss_and_metrics(jnp.zeros((4, 3)), jnp.zeros((4, 3)), 0.01)
    assert np.isfinite(loss) and all(np.isfinite(x) for x in metrics.values())


def test_errors_name_the_function():
    x = jnp.ones((1, 2))
    with pytest.raises(errors.UserError, match=r"ntxent_with_metrics needs at least 2"):
        losses.ntxent_with_metrics(x, x, temperature=0.1)
