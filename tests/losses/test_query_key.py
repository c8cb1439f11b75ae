import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import losses
from simclr_jax.core import errors
from simclr_jax.losses.similarity import algorithms
from tests.losses import oracles

NUM_QUERIES, NUM_NEGATIVES, DIM = 24, 53, 7


@functools.cache
def compiled(temperature, arguments, name="auto", mesh=None, tile_rows=None):
    del tile_rows  # only a cache key: the tile size is read while tracing
    loss = functools.partial(
        losses.info_nce_with_metrics, temperature=temperature, mesh=mesh, algorithm=name
    )
    return jax.jit(jax.value_and_grad(loss, arguments, has_aux=True))


def make_rows(rng, has_queue):
    sizes = (NUM_QUERIES, NUM_QUERIES, NUM_NEGATIVES)
    query, key, negatives = (
        (rng.normal(size=(n, DIM)) * rng.uniform(0.1, 10, size=(n, 1))).astype("f4")
        for n in sizes
    )
    return query, key, (negatives if has_queue else None)


def value_and_grad(rows, temperature, *options):
    arguments = (0, 1) if rows[2] is None else (0, 1, 2)
    (value, metrics), gradient = compiled(temperature, arguments, *options)(*rows)
    return value, metrics, gradient


def assert_equals_oracle(found, rows, temperature):
    value, _, gradient = found
    expected = oracles.info_nce(*rows, temperature)
    oracles.assert_value_close(value, expected[0])
    for got, of_rows in zip(gradient, expected[1], strict=True):
        oracles.assert_gradient_close(got, of_rows)


@pytest.mark.parametrize("has_queue", [True, False])
@pytest.mark.parametrize(
    ("name", "num_devices", "temperature"),
    [
        ("auto", 0, 0.1),
        ("auto", 4, 0.1),
        ("ring", 3, 0.02),
        pytest.param("auto", 0, 0.02, marks=pytest.mark.slow),
        pytest.param("gathered", 3, 0.02, marks=pytest.mark.slow),
        pytest.param("triangular", 8, 0.1, marks=pytest.mark.slow),
        pytest.param("auto", 1, 0.1, marks=pytest.mark.slow),
    ],
)
def test_tiles_and_devices_do_not_affect_results(
    rng, make_mesh, monkeypatch, has_queue, name, num_devices, temperature
):
    monkeypatch.setitem(algorithms.TILE_ROWS, "cpu", 16)
    mesh = make_mesh(num_devices) if num_devices else None
    rows = make_rows(rng, has_queue)
    found = value_and_grad(rows, temperature, name, mesh, 16)
    assert_equals_oracle(found, rows, temperature)


def test_a_queue_of_the_other_keys_equals_in_batch_negatives(rng):
    """Row by row, as MoCo does, with the keys of the other rows as the queue."""
    query, key, _ = make_rows(rng, False)
    loss = jax.jit(functools.partial(losses.info_nce, temperature=0.2))
    rows = [
        loss(query[i : i + 1], key[i : i + 1], np.delete(key, i, axis=0))
        for i in range(5)
    ]
    z, _ = oracles.normalized(key)
    s = oracles.normalized(query)[0] @ z.T / 0.2
    expected = np.logaddexp.reduce(s, axis=1) - np.diag(s)
    np.testing.assert_allclose(rows, expected[:5], rtol=2e-6)
    oracles.assert_value_close(loss(query, key, None), expected.mean())


def test_metrics_equal_the_dense_form(rng):
    rows = make_rows(rng, True)
    value, metrics, _ = value_and_grad(rows, 0.1)
    q, k, y = (oracles.normalized(x)[0] for x in rows)
    s = np.concatenate([np.sum(q * k, axis=1)[:, None], q @ y.T], axis=1)
    log_p = s / 0.1 - np.logaddexp.reduce(s / 0.1, axis=1)[:, None]
    squared = np.sum((q[:, None] - y[None]) ** 2, axis=-1)
    expected = {
        "contrastive_accuracy": np.mean(s.argmax(axis=1) == 0),
        "entropy": -np.mean(np.sum(np.exp(log_p) * log_p, axis=1)),
        "alignment": np.mean(np.sum((q - k) ** 2, axis=1)),
        "uniformity": np.log(np.mean(np.exp(-2 * squared))),
        "chance_loss": np.log(NUM_NEGATIVES + 1),
        "floor_loss": np.log1p(NUM_NEGATIVES * np.exp(-1 / 0.1)),
    }
    assert set(metrics) == set(expected)
    for name, x in metrics.items():
        np.testing.assert_allclose(x, expected[name], rtol=1e-5, err_msg=name)
    ones = tuple(np.ones_like(x) for x in rows)
    value, metrics, _ = value_and_grad(ones, 0.1)
    oracles.assert_value_close(value, metrics["chance_loss"])
    assert metrics["contrastive_accuracy"] == 0


def test_stopped_gradients_are_not_computed(rng, make_mesh):
    """With one tile there are two products: S and the gradient of the queries."""

    def loss(query, key, negatives, mesh):
        key, negatives = jax.lax.stop_gradient((key, negatives))
        return losses.info_nce(query, key, negatives, temperature=0.1, mesh=mesh)

    rows = make_rows(rng, True)
    for mesh in (None, make_mesh(2)):
        step = jax.jit(jax.grad(functools.partial(loss, mesh=mesh)))
        assert step.lower(*rows).compile().as_text().count(" dot(") == 2


def test_extreme_inputs(rng):
    """Rows of any norm, zero rows and bfloat16, at a temperature of 0.01."""
    rows = make_rows(rng, True)
    for x in rows:
        x *= 10.0 ** np.linspace(-30, 30, len(x))[:, None].astype("f4")
        x[3] = 0
    loss = functools.partial(losses.info_nce, temperature=0.01)
    step = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))
    value, gradient = step(*rows)
    expected, expected_gradient = oracles.info_nce(*rows, 0.01)
    oracles.assert_value_close(value, expected)
    for x, got, of_rows in zip(rows, gradient, expected_gradient, strict=True):
        assert not np.any(got[3])
        of_rows[3] = 0
        oracles.assert_each_row_close(got, of_rows, x, 0.01)
    value, gradient = step(*(jnp.asarray(x, jnp.bfloat16) for x in rows))
    assert value.dtype == jnp.float32 and np.isfinite(value)
    for x in gradient:
        assert x.dtype == jnp.bfloat16 and np.isfinite(np.asarray(x, float)).all()


def test_gradient_of_a_traced_temperature(rng):
    rows = make_rows(rng, True)
    x = tuple(map(jnp.asarray, rows))
    loss = jax.jit(jax.value_and_grad(lambda t: losses.info_nce(*x, temperature=t)))
    value, slope = loss(jnp.float32(0.25))
    above, at, below = (oracles.info_nce(*rows, t)[0] for t in (0.25001, 0.25, 0.24999))
    oracles.assert_value_close(value, at)
    oracles.assert_gradient_close(slope, (above - below) / 2e-5)


def test_explicit_mesh(rng):
    rows = make_rows(rng, True)
    mesh = jax.make_mesh((4,), ("data",), devices=jax.devices()[:4])
    with jax.set_mesh(mesh):
        found = value_and_grad(tuple(map(jnp.asarray, rows)), 0.1, "auto", mesh)
    assert_equals_oracle(found, rows, 0.1)


def test_errors_report_the_value(make_mesh):
    x = jnp.ones((6, 2))
    for loss in (losses.info_nce, losses.info_nce_with_metrics):
        with pytest.raises(
            errors.UserError, match=r"info_nce\S* needs at least 2 .* 1"
        ):
            jax.eval_shape(lambda loss=loss: loss(x[:1], x[:1], None, temperature=0.1))
        with pytest.raises(errors.UserError, match=r"at least 1 negative; got none"):
            jax.eval_shape(lambda loss=loss: loss(x, x, x[:0], temperature=0.1))
        with pytest.raises(errors.UserError, match=r"batch size of info_nce.* of 4"):
            jax.eval_shape(
                lambda loss=loss: loss(x, x, x, temperature=0.1, mesh=make_mesh(4))
            )
        with pytest.raises(errors.UserError, match=r"algorithm 'rig'.*'ring'"):
            jax.eval_shape(
                lambda loss=loss: loss(x, x, None, temperature=0.1, algorithm="rig")
            )
