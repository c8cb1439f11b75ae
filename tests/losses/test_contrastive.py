import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from simclr_jax import losses
from simclr_jax.core import errors
from simclr_jax.losses.similarity import algorithms
from tests.losses import oracles


def value_and_grad(a, b, temperature, mesh=None):
    return compiled(temperature, mesh, algorithms.TILE_ROWS["cpu"])(a, b)


@functools.cache
def compiled(temperature, mesh, tile_rows):
    del tile_rows  # only a cache key: the tile size is read while tracing
    loss = functools.partial(losses.ntxent, temperature=temperature, mesh=mesh)
    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))


def sharding(mesh, *axes):
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setitem(algorithms.TILE_ROWS, "cpu", 32)


@pytest.mark.parametrize("num_images, dim", [(2, 1), (3, 2), (9, 300)])
def test_equals_equation_1_in_plain_loops(rng, num_images, dim):
    a, b = oracles.views(rng, num_images, dim)
    got, _ = value_and_grad(a, b, 0.2)
    oracles.assert_value_close(got, oracles.ntxent_loop(a, b, 0.2))


# The oracle is float64, because at small temperatures the dense float32 form is not
# more exact than the tiled one. Logits have an error of 1e-7 / tau in every float32
# form; the views are noisy enough that the loss is larger than that.
@pytest.mark.parametrize(
    "num_images, dim, temperature",
    [
        (2, 2, 0.1),
        (3, 64, 0.1),
        (16, 5, 0.01),
        (5, 3, 10.0),
        (64, 128, 0.07),
        (100, 300, 0.01),
        (512, 128, 0.1),
        (513, 2, 1.0),
        (777, 40, 0.02),
        (1024, 128, 0.5),
    ],
)
def test_value_and_gradient_equal_the_oracle(rng, num_images, dim, temperature):
    a, b = oracles.views(rng, num_images, dim, noise=3.0)
    value, gradient = value_and_grad(a, b, temperature)
    expected, expected_gradient, _ = oracles.ntxent(a, b, temperature)
    oracles.assert_value_close(value, expected)
    oracles.assert_gradient_close(gradient, expected_gradient)


@pytest.mark.parametrize(
    "num_images, temperature",
    [(16, 0.1), (17, 0.1), (33, 0.1), (64, 0.1), (24, 0.02), (50, 0.02)],
)
def test_tiles_that_do_not_divide_the_batch(rng, small_tiles, num_images, temperature):
    a, b = oracles.views(rng, num_images, 7)
    value, gradient = value_and_grad(a, b, temperature)
    expected, expected_gradient, _ = oracles.ntxent(a, b, temperature)
    oracles.assert_value_close(value, expected)
    oracles.assert_gradient_close(gradient, expected_gradient)


@pytest.mark.parametrize("num_images, temperature", [(17, 0.1), (50, 0.02)])
def test_equals_the_reference(rng, small_tiles, num_images, temperature):
    a, b = oracles.views(rng, num_images, 7)  # compiled by the test above
    value, gradient = value_and_grad(a, b, temperature)
    reference = functools.partial(losses.ntxent_reference, temperature=temperature)
    expected = jax.jit(jax.value_and_grad(reference, argnums=(0, 1)))(a, b)
    oracles.assert_value_close(value, expected[0])
    oracles.assert_gradient_close(gradient, expected[1])


def test_equals_optax(rng):
    a, b = oracles.views(rng, 12, 6)
    value, gradient = value_and_grad(a, b, 0.2)

    def by_label(a, b):
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            labels = jnp.tile(jnp.arange(12), 2)
            return jnp.mean(optax.losses.ntxent(jnp.concatenate([a, b]), labels, 0.2))

    expected = jax.jit(jax.value_and_grad(by_label, argnums=(0, 1)))(a, b)
    oracles.assert_value_close(value, expected[0])
    oracles.assert_gradient_close(gradient, expected[1])


def test_one_dimensional_embeddings_have_no_gradient(rng):
    a, b = oracles.views(rng, 6, 1)
    value, gradient = value_and_grad(a, b, 0.5)
    oracles.assert_value_close(value, oracles.ntxent_loop(a, b, 0.5))
    # The gradient on the sphere is at most 1 / tau; it is divided by the row's length.
    scale = 1 / (0.5 * np.abs(np.stack([a, b])).min())
    oracles.assert_gradient_close(gradient, np.zeros((2, 6, 1)), scale=scale)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 5.0])
def test_closed_forms(temperature):
    orthogonal = jnp.eye(8)
    got, _ = value_and_grad(orthogonal, orthogonal, temperature)
    floor = losses.floor_loss(8, temperature=temperature)
    # exp(-1 / tau) amplifies the rounding error of 1 / tau.
    np.testing.assert_allclose(got, floor, rtol=1e-6 * max(1, 1 / temperature))
    identical = jnp.ones((8, 8))
    got, gradient = value_and_grad(identical, identical, temperature)
    oracles.assert_value_close(got, losses.chance_loss(8))
    oracles.assert_gradient_close(gradient, jnp.zeros((2, 8, 8)), scale=1 / temperature)


def test_invariances(rng):
    a, b = oracles.views(rng, 20, 6)
    value, (to_a, to_b) = value_and_grad(a, b, 0.1)
    order = rng.permutation(20)
    permuted, gradient = value_and_grad(a[order], b[order], 0.1)
    oracles.assert_value_close(permuted, value)
    oracles.assert_gradient_close(gradient, (to_a[order], to_b[order]))
    swapped, gradient = value_and_grad(b, a, 0.1)
    oracles.assert_value_close(swapped, value)
    oracles.assert_gradient_close(gradient, (to_b, to_a))
    scaled, gradient = value_and_grad(8 * a, b / 4, 0.1)
    oracles.assert_value_close(scaled, value)
    oracles.assert_gradient_close(gradient[0], to_a / 8)
    oracles.assert_gradient_close(gradient[1], to_b * 4)


def test_jit_equals_eager_equals_vmap(rng):
    a, b = oracles.views(rng, 6, 5)
    function = jax.value_and_grad(
        functools.partial(losses.ntxent, temperature=0.1), argnums=(0, 1)
    )
    value, gradient = value_and_grad(a, b, 0.1)
    for got in (
        function(jnp.asarray(a), jnp.asarray(b)),
        jax.tree.map(lambda x: x[1], jax.jit(jax.vmap(function))(*_twice(a, b))),
    ):
        oracles.assert_value_close(got[0], value)
        oracles.assert_gradient_close(got[1], gradient)


def _twice(a, b):
    return np.stack([b, a]), np.stack([a, b])


@pytest.mark.parametrize("num_devices, temperature", [(1, 0.1), (8, 0.1), (4, 0.02)])
@pytest.mark.quick
def test_devices_do_not_affect_value_or_gradient(
    rng, make_mesh, small_tiles, num_devices, temperature
):
    a, b = oracles.views(rng, 40, 6)
    mesh = make_mesh(num_devices)
    value, gradient = value_and_grad(a, b, temperature, mesh)
    expected, expected_gradient, _ = oracles.ntxent(a, b, temperature)
    oracles.assert_value_close(value, expected)
    # A gradient averaged or summed over devices is wrong by a factor of their number.
    oracles.assert_gradient_close(gradient, expected_gradient)


def test_gradient_of_replicated_parameters_is_not_summed_twice(rng, make_mesh):
    images = oracles.views(rng, 16, 6)
    weights = jnp.asarray(rng.normal(size=(6, 5)), jnp.float32)
    mesh = make_mesh(8)

    def train_loss(weights, a, b, mesh):
        return losses.ntxent(a @ weights, b @ weights, temperature=0.1, mesh=mesh)

    step = jax.jit(jax.value_and_grad(train_loss), static_argnums=3)
    expected = step(weights, *images, None)
    weights = jax.device_put(weights, sharding(mesh))
    images = jax.device_put((*images,), sharding(mesh, "data"))
    got = step(weights, *images, mesh)
    oracles.assert_value_close(got[0], expected[0])
    oracles.assert_gradient_close(got[1], expected[1])


@pytest.mark.parametrize("spec", [("data",), ()])
def test_explicit_mesh(rng, spec):
    a, b = oracles.views(rng, 16, 6)
    mesh = jax.make_mesh((4,), ("data",), devices=jax.devices()[:4])
    with jax.set_mesh(mesh):
        got = value_and_grad(*jax.device_put((a, b), sharding(mesh, *spec)), 0.1, mesh)
    expected, expected_gradient, _ = oracles.ntxent(a, b, 0.1)
    oracles.assert_value_close(got[0], expected)
    oracles.assert_gradient_close(got[1], expected_gradient)


@pytest.mark.parametrize("temperature", [0.1, 0.02])
def test_gradient_of_a_traced_temperature(rng, temperature):
    a, b = oracles.views(rng, 20, 6)
    x, y = jnp.asarray(a), jnp.asarray(b)
    loss = jax.jit(jax.value_and_grad(lambda t: losses.ntxent(x, y, temperature=t)))
    value, slope = loss(jnp.float32(temperature))
    oracles.assert_value_close(value, oracles.ntxent(a, b, float(temperature))[0])
    step = 1e-5 * temperature
    above, below = (oracles.ntxent(a, b, temperature + s)[0] for s in (step, -step))
    oracles.assert_gradient_close(slope, (above - below) / (2 * step))


@pytest.mark.parametrize(
    "temperature, tile_rows, dtype",
    [
        (0.01, 16, jnp.float32),
        (0.01, 1024, jnp.float32),
        (1 / 30, 16, jnp.float32),
        (10.0, 16, jnp.float32),
        (0.01, 16, jnp.bfloat16),
    ],
)
def test_extreme_inputs_give_finite_results(
    rng, monkeypatch, temperature, tile_rows, dtype
):
    monkeypatch.setitem(algorithms.TILE_ROWS, "cpu", tile_rows)
    normal = rng.normal(size=(20, 6))
    inputs = [normal, 1e4 * normal, 0 * normal, np.ones_like(normal), -normal]
    inputs.append(normal * (np.arange(20) % 3 > 0)[:, None])
    for a in inputs:
        for b in (a, -a, normal):
            value, gradient = value_and_grad(
                jnp.asarray(a, dtype), jnp.asarray(b, dtype), temperature
            )
            assert value.dtype == jnp.float32 and np.isfinite(value)
            for x in gradient:
                assert x.dtype == dtype and np.isfinite(np.asarray(x, np.float32)).all()


@pytest.mark.parametrize("temperature", [0.01, 0.1, 10.0])
def test_rows_of_any_norm(rng, temperature):
    a, b = oracles.views(rng, 20, 6, noise=3.0)
    norms = (10.0 ** np.linspace(-30, 30, 20))[:, None]
    a, b = (a * norms).astype(np.float32), (b * norms[::-1]).astype(np.float32)
    value, gradient = value_and_grad(a, b, temperature)
    expected, expected_gradient, _ = oracles.ntxent(a, b, temperature)
    oracles.assert_value_close(value, expected)
    for x, got, of_rows in zip((a, b), gradient, expected_gradient, strict=True):
        oracles.assert_each_row_close(got, of_rows, x, temperature)


def test_zero_rows_have_zero_gradient(rng):
    a, b = oracles.views(rng, 20, 6)
    a[3] = 0
    value, gradient = value_and_grad(a, b, 0.1)
    oracles.assert_value_close(value, oracles.ntxent(a, b, 0.1)[0])
    assert not np.any(gradient[0][3]) and np.all(np.any(gradient[1], axis=1))


def test_bfloat16_is_computed_in_float32(rng):
    a, b = (jnp.asarray(x, jnp.bfloat16) for x in oracles.views(rng, 30, 50))
    got, _ = value_and_grad(a, b, 0.1)
    expected, _, _ = oracles.ntxent(np.asarray(a, float), np.asarray(b, float), 0.1)
    oracles.assert_value_close(got, expected)


def test_a_small_loss_is_as_precise_as_the_dense_form(rng):
    reference = jax.jit(functools.partial(losses.ntxent_reference, temperature=0.02))
    tiled = jax.jit(functools.partial(losses.ntxent, temperature=0.02))
    error, dense_error = [], []
    for _ in range(20):
        a, b = oracles.views(rng, 16, 32, noise=0.7)
        expected, _, _ = oracles.ntxent(a, b, 0.02)
        error.append(tiled(a, b) / expected - 1)
        dense_error.append(reference(a, b) / expected - 1)
    assert np.std(error) <= np.std(dense_error)


@pytest.mark.parametrize("temperature", [0.1, 0.02])
def test_memory_at_16384_rows(temperature):
    x = jax.ShapeDtypeStruct((8192, 128), jnp.float32)
    loss = functools.partial(losses.ntxent, temperature=temperature)
    lowered = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).lower(x, x)
    temporaries = lowered.compile().memory_analysis().temp_size_in_bytes
    assert temporaries <= 128e6  # the dense matrix alone takes 1,074 MB


def test_memory_is_linear_in_the_number_of_rows(small_tiles):
    sizes = []
    for num_images in (512, 1536):
        x = jax.ShapeDtypeStruct((num_images, 16), jnp.float32)
        loss = functools.partial(losses.ntxent, temperature=0.1)
        lowered = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).lower(x, x)
        sizes.append(lowered.compile().memory_analysis().temp_size_in_bytes)
    assert sizes[1] < 4 * sizes[0]


def test_errors_report_the_value(make_mesh):
    x = jnp.ones((6, 2))
    with pytest.raises(errors.UserError, match=r"ntxent needs at least 2 .* got 1"):
        losses.ntxent(x[:1], x[:1], temperature=0.1)
    with pytest.raises(errors.UserError, match=r"temperature must be .* > 0; got 0\.0"):
        losses.ntxent(x, x, temperature=0.0)
    with pytest.raises(errors.UserError, match=r"batch size .* multiple of 4; got 6"):
        losses.ntxent(x, x, temperature=0.1, mesh=make_mesh(4))
