import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import losses
from simclr_jax.core import errors
from simclr_jax.losses.similarity import algorithms, plans
from simclr_jax.losses.similarity.algorithms import (
    choice,
    gathered,
    local,
    one_tile,
    ring,
    triangular,
)
from tests import helpers
from tests.losses import oracles

NUM_IMAGES = 72  # 18 rows on each of 8 devices: two blocks of 16, one nearly empty

# Every algorithm, with an odd and an even ring for triangular; the rest is marked slow.
QUICK = {("gathered", 4), ("ring", 8), ("triangular", 3), ("triangular", 8)}
QUICK_TRACED = {("ring", 4)}


def cross(quick):
    for name in losses.ALGORITHMS:
        for num_devices in (0, 1, 2, 3, 4, 8):
            case = (name, num_devices)
            marks = () if case in quick else pytest.mark.slow
            yield pytest.param(*case, marks=marks, id=f"{name}-{num_devices}")


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setitem(algorithms.TILE_ROWS, "cpu", 16)


def mesh_or_none(make_mesh, num_devices):
    return make_mesh(num_devices) if num_devices else None


@pytest.mark.parametrize(("name", "num_devices"), [*cross(QUICK)])
def test_value_gradient_and_metrics_equal_the_oracle(
    rng, make_mesh, small_tiles, name, num_devices
):
    a, b = oracles.views(rng, NUM_IMAGES, 7)
    loss = functools.partial(
        losses.ntxent_with_metrics,
        temperature=0.1,
        mesh=mesh_or_none(make_mesh, num_devices),
        algorithm=name,
    )
    found = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(a, b)
    (value, metrics), gradient = found
    expected, expected_gradient, expected_metrics = oracles.ntxent(a, b, 0.1)
    oracles.assert_value_close(value, expected)
    oracles.assert_gradient_close(gradient, expected_gradient)
    assert set(metrics) == set(expected_metrics)
    for key, expected in expected_metrics.items():
        np.testing.assert_allclose(
            metrics[key], expected, **helpers.TOLERANCE["loss_gradient"], err_msg=key
        )


@pytest.mark.parametrize(("name", "num_devices"), [*cross(QUICK_TRACED)])
def test_traced_temperature(rng, make_mesh, small_tiles, name, num_devices):
    a, b = oracles.views(rng, NUM_IMAGES, 7)
    mesh = mesh_or_none(make_mesh, num_devices)

    def loss(a, b, tau):
        return losses.ntxent(a, b, temperature=tau, mesh=mesh, algorithm=name)

    step = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))
    for tau in (0.02, 0.5):  # at 0.02 there is no usable bound
        value, (*gradient, slope) = step(a, b, jnp.float32(tau))
        expected, expected_gradient, _ = oracles.ntxent(a, b, tau)
        oracles.assert_value_close(value, expected)
        oracles.assert_gradient_close(gradient, expected_gradient)
        above, below = (oracles.ntxent(a, b, tau * s)[0] for s in (1 + 1e-5, 1 - 1e-5))
        oracles.assert_gradient_close(slope, (above - below) / (2e-5 * tau))


@pytest.mark.parametrize(
    ("name", "temperature"),
    [
        ("triangular", 0.1),
        pytest.param("triangular", 0.02, marks=pytest.mark.slow),
        pytest.param("gathered", 0.02, marks=pytest.mark.slow),
        pytest.param("ring", 0.1, marks=pytest.mark.slow),
    ],
)
def test_bfloat16_inputs(rng, make_mesh, small_tiles, name, temperature):
    a, b = (jnp.asarray(x, jnp.bfloat16) for x in oracles.views(rng, NUM_IMAGES, 7))
    loss = functools.partial(
        losses.ntxent, temperature=temperature, mesh=make_mesh(2), algorithm=name
    )
    value, gradient = jax.jit(jax.value_and_grad(loss, (0, 1)))(a, b)
    exact = [np.asarray(x, float) for x in (a, b)]
    oracles.assert_value_close(value, oracles.ntxent(*exact, temperature)[0])
    for x in gradient:
        assert x.dtype == jnp.bfloat16 and np.isfinite(np.asarray(x, float)).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", losses.ALGORITHMS)
def test_explicit_mesh(rng, small_tiles, name):
    a, b = oracles.views(rng, NUM_IMAGES, 7)
    mesh = jax.make_mesh((4,), ("data",), devices=jax.devices()[:4])
    loss = functools.partial(losses.ntxent, temperature=0.1, mesh=mesh, algorithm=name)
    with jax.set_mesh(mesh):
        found = jax.jit(jax.value_and_grad(loss, (0, 1)))(
            jnp.asarray(a), jnp.asarray(b)
        )
    expected, expected_gradient, _ = oracles.ntxent(a, b, 0.1)
    oracles.assert_value_close(found[0], expected)
    oracles.assert_gradient_close(found[1], expected_gradient)


@pytest.mark.slow
@pytest.mark.parametrize("name", losses.ALGORITHMS)
def test_other_mesh_axes_do_not_affect_results(rng, small_tiles, name):
    a, b = oracles.views(rng, NUM_IMAGES, 7)
    auto = (jax.sharding.AxisType.Auto,) * 2
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=auto)
    loss = functools.partial(losses.ntxent, temperature=0.1, mesh=mesh, algorithm=name)
    found = jax.jit(jax.value_and_grad(loss, (0, 1)))(a, b)
    expected, expected_gradient, _ = oracles.ntxent(a, b, 0.1)
    oracles.assert_value_close(found[0], expected)
    oracles.assert_gradient_close(found[1], expected_gradient)


LARGEST_ROWS = choice.LARGEST_GATHERED_BYTES // 512


@pytest.mark.parametrize(
    ("name", "num_devices", "bound", "num_rows", "expected"),
    [
        ("auto", 1, 10.0, 100, triangular),
        ("auto", 1, None, 100, local),
        ("auto", 8, 10.0, 100, gathered),
        ("auto", 8, 10.0, LARGEST_ROWS // 8, gathered),
        ("auto", 8, 10.0, LARGEST_ROWS // 8 + 1, ring),
        ("gathered", 8, None, LARGEST_ROWS, gathered),
        ("ring", 8, 10.0, 100, ring),
        ("triangular", 8, 10.0, 100, triangular),
        ("triangular", 8, None, 100, ring),
        *((name, 1, 10.0, 16, one_tile) for name in losses.ALGORITHMS),
    ],
)
def test_chooses_the_algorithm(name, num_devices, bound, num_rows, expected):
    plan = plans.Plan(num_devices, bound, tile_rows=16)
    found = algorithms.choose(name, plan, num_rows=num_rows, row_bytes=512)
    assert found is expected.ALGORITHM


def test_tile_size_depends_on_the_platform_of_the_mesh(monkeypatch, make_mesh):
    monkeypatch.setitem(algorithms.TILE_ROWS, "cpu", 7)
    assert algorithms.tile_rows(None) == algorithms.tile_rows(make_mesh(2)) == 7
    monkeypatch.delitem(algorithms.TILE_ROWS, "cpu")
    assert algorithms.tile_rows(None) == algorithms.TILE_ROWS["gpu"]


def test_unknown_names_list_the_choices():
    x = jnp.ones((4, 2))
    for loss in (losses.ntxent, losses.ntxent_with_metrics):
        with pytest.raises(
            errors.UserError,
            match=r"algorithm 'rings'.*'ring'\? Choices: auto, gathered, ring, triang",
        ):
            loss(x, x, temperature=0.1, algorithm="rings")
