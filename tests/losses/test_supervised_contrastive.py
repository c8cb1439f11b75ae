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

NUM_IMAGES, NUM_VIEWS, DIM = 24, 3, 7  # 72 rows; on 3 devices, tiles of 16: 2 blocks


@functools.cache
def compiled(temperature, name="auto", mesh=None, tile_rows=None):
    del tile_rows  # only a cache key: the tile size is read while tracing
    loss = functools.partial(
        losses.supcon_with_metrics, temperature=temperature, mesh=mesh, algorithm=name
    )
    return jax.jit(jax.value_and_grad(loss, has_aux=True))


def make_views(rng, num_images=NUM_IMAGES, num_views=NUM_VIEWS):
    views = rng.normal(size=(num_images, num_views, DIM))
    views *= rng.uniform(0.1, 10, size=(num_images, num_views, 1))
    return views.astype(np.float32)


def make_labels(rng, num_images=NUM_IMAGES):
    """Classes of different sizes; the last image is alone in its class."""
    labels = rng.integers(0, 5, num_images).astype(np.int32)
    labels[-1] = -7
    return labels


def assert_equals_oracle(found, views, labels, temperature):
    (value, metrics), gradient = found
    expected = oracles.supcon(views, labels, temperature)
    oracles.assert_value_close(value, expected[0])
    oracles.assert_gradient_close(gradient, expected[1])
    assert set(metrics) == set(expected[2])
    for name, x in metrics.items():
        np.testing.assert_allclose(
            x, expected[2][name], **helpers.TOLERANCE["loss_gradient"], err_msg=name
        )


@pytest.mark.parametrize("num_views, temperature", [(1, 0.1), (2, 0.5), (3, 0.02)])
def test_equals_the_oracle(rng, num_views, temperature):
    views, labels = make_views(rng, 13, num_views), make_labels(rng, 13)
    found = compiled(temperature)(views, labels)
    assert_equals_oracle(found, views, labels, temperature)


@pytest.mark.parametrize(
    ("name", "num_devices", "temperature"),
    [
        ("auto", 0, 0.1),
        ("auto", 0, 0.02),
        ("gathered", 8, 0.1),
        ("ring", 3, 0.02),
        ("triangular", 3, 0.1),
        pytest.param("gathered", 2, 0.02, marks=pytest.mark.slow),
        pytest.param("triangular", 4, 0.1, marks=pytest.mark.slow),
        pytest.param("auto", 1, 0.1, marks=pytest.mark.slow),
    ],
)
def test_tiles_and_devices_do_not_affect_results(
    rng, make_mesh, monkeypatch, name, num_devices, temperature
):
    monkeypatch.setitem(algorithms.TILE_ROWS, "cpu", 16)
    mesh = make_mesh(num_devices) if num_devices else None
    views, labels = make_views(rng), make_labels(rng)
    found = compiled(temperature, name, mesh, 16)(views, labels)
    assert_equals_oracle(found, views, labels, temperature)


def test_equals_the_reference_with_and_without_metrics(rng):
    views, labels = make_views(rng, 13, 2), make_labels(rng, 13)
    (value, _), gradient = compiled(0.5)(views, labels)
    for loss in (losses.supcon_reference, losses.supcon):
        function = functools.partial(loss, temperature=0.5)
        expected = jax.jit(jax.value_and_grad(function))(views, labels)
        oracles.assert_value_close(value, expected[0])
        oracles.assert_gradient_close(gradient, expected[1])


def test_equals_ntxent_if_all_labels_differ(rng):
    views = make_views(rng, 13, 2)
    loss = functools.partial(losses.ntxent_with_metrics, temperature=0.5)
    (expected, expected_metrics), gradient = jax.jit(
        jax.value_and_grad(loss, (0, 1), has_aux=True)
    )(views[:, 0], views[:, 1])
    labels = rng.permutation(13).astype(np.int32)
    (value, metrics), got = compiled(0.5)(views, labels)
    oracles.assert_value_close(value, expected)
    oracles.assert_gradient_close(got, np.stack(gradient, axis=1))
    assert metrics.pop("anchors_without_positives") == 0
    for name, x in metrics.items():
        np.testing.assert_allclose(
            x, expected_metrics[name], **helpers.TOLERANCE["loss_gradient"]
        )


def test_invariances(rng):
    views, labels = make_views(rng, 13, 2), make_labels(rng, 13)
    (value, _), gradient = compiled(0.5)(views, labels)
    order = rng.permutation(13)
    for changed, of_labels, back in (
        (views[order], labels[order], gradient[order]),
        (views[:, ::-1], labels, gradient[:, ::-1]),
        (views, 100 - labels, gradient),
        (8 * views, labels, gradient / 8),
    ):
        (other, _), got = compiled(0.5)(changed, of_labels)
        oracles.assert_value_close(other, value)
        oracles.assert_gradient_close(got, back)


def test_anchors_without_positives_are_excluded_from_the_mean(rng):
    views = make_views(rng, 13, 1)
    labels = np.arange(13, dtype=np.int32)
    (value, metrics), gradient = compiled(0.1)(views, labels)
    assert value == 0 and metrics["anchors_without_positives"] == 1
    np.testing.assert_array_equal(gradient, np.zeros_like(gradient))
    labels[:2] = 50  # two anchors; the other eleven rows are only negatives
    (value, metrics), gradient = compiled(0.1)(views, labels)
    z, _ = oracles.normalized(views[:, 0])
    s = z @ z.T / 0.1
    np.fill_diagonal(s, -np.inf)
    rows = np.logaddexp.reduce(s[:2], axis=1) - s[0, 1]
    oracles.assert_value_close(value, rows.mean())
    np.testing.assert_allclose(metrics["anchors_without_positives"], 11 / 13)
    assert np.all(np.any(gradient != 0, axis=-1))


def test_one_class_and_a_collapsed_encoder(rng):
    views, labels = np.full((13, 2, DIM), 0.3, np.float32), make_labels(rng, 13)
    (value, metrics), gradient = compiled(0.5)(views, labels)
    oracles.assert_value_close(value, metrics["chance_loss"])
    assert metrics["contrastive_accuracy"] == 0
    oracles.assert_gradient_close(gradient, 0 * gradient, scale=1.0)
    (value, metrics), _ = compiled(0.5)(make_views(rng, 13, 2), 0 * labels)
    assert metrics["uniformity"] == 0 and metrics["contrastive_accuracy"] == 1
    assert all(np.isfinite(x) for x in (value, *metrics.values()))


def test_extreme_inputs(rng):
    """Rows of any norm, zero rows and bfloat16, at a temperature of 0.01."""
    views, labels = make_views(rng, 13, 2), make_labels(rng, 13)
    views[:, 0] *= 10.0 ** np.linspace(-30, 30, 13)[:, None]
    views[3, 1] = 0
    loss = functools.partial(losses.supcon, temperature=0.01)
    step = jax.jit(jax.value_and_grad(loss))
    value, gradient = step(views, labels)
    expected = oracles.supcon(views, labels, 0.01)
    oracles.assert_value_close(value, expected[0])
    assert not np.any(gradient[3, 1])
    expected[1][3, 1] = 0
    oracles.assert_each_row_close(gradient, expected[1], views, 0.01)
    value, gradient = step(jnp.asarray(views, jnp.bfloat16), labels)
    assert value.dtype == jnp.float32 and gradient.dtype == jnp.bfloat16
    assert np.isfinite(value) and np.isfinite(np.asarray(gradient, float)).all()


def test_gradient_of_a_traced_temperature(rng):
    views, labels = make_views(rng, 9, 2), make_labels(rng, 9)
    x, y = jnp.asarray(views), jnp.asarray(labels)
    loss = jax.jit(jax.value_and_grad(lambda t: losses.supcon(x, y, temperature=t)))
    value, slope = loss(jnp.float32(0.25))
    above, at, below = (
        oracles.supcon(views, labels, t)[0] for t in (0.25001, 0.25, 0.24999)
    )
    oracles.assert_value_close(value, at)
    oracles.assert_gradient_close(slope, (above - below) / 2e-5)


def test_memory_at_16384_rows():
    views = jax.ShapeDtypeStruct((8192, 2, 128), jnp.float32)
    labels = jax.ShapeDtypeStruct((8192,), jnp.int32)
    loss = functools.partial(losses.supcon, temperature=0.1)
    program = jax.jit(jax.value_and_grad(loss)).lower(views, labels).compile()
    assert program.memory_analysis().temp_size_in_bytes <= 128e6


def test_errors_report_the_value(make_mesh):
    views, labels = jnp.ones((6, 2, 3)), jnp.zeros(6, jnp.int32)
    for loss in (losses.supcon, losses.supcon_with_metrics):
        with pytest.raises(errors.UserError, match=r"at least 2 rows .* got 1"):
            jax.eval_shape(
                lambda loss=loss: loss(views[:1, :1], labels[:1], temperature=0.1)
            )
        with pytest.raises(errors.UserError, match=r"batch size of supcon.* of 4"):
            jax.eval_shape(
                lambda loss=loss: loss(
                    views, labels, temperature=0.1, mesh=make_mesh(4)
                )
            )
        with pytest.raises(errors.UserError, match=r"temperature must .* got 0\.0"):
            jax.eval_shape(lambda loss=loss: loss(views, labels, temperature=0.0))
        with pytest.raises(errors.UserError, match=r"algorithm 'rig'.*'ring'"):
            jax.eval_shape(
                lambda loss=loss: loss(views, labels, temperature=0.1, algorithm="rig")
            )
