import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simclr_jax.core import errors
from simclr_jax.nn import normalization


def reference(num_channels, **options):
    return nnx.BatchNorm(
        num_channels, momentum=0.9, epsilon=1e-5, rngs=nnx.Rngs(0), **options
    )


@pytest.fixture
def x(rng):
    return jnp.asarray(rng.normal(2.0, 3.0, size=(8, 5, 4, 3)).astype(np.float32))


def test_values_statistics_and_gradients_equal_flax(x, rng):
    weight = jnp.asarray(rng.normal(size=x.shape).astype(np.float32))
    scale, bias = jnp.asarray([0.5, 1.0, -2.0]), jnp.asarray([0.1, 0.0, 3.0])

    def run(norm):
        norm.scale[...], norm.bias[...] = scale, bias
        graphdef, params, rest = nnx.split(norm, nnx.Param, ...)

        def loss(params, x):
            model = nnx.merge(graphdef, params, rest, copy=True)
            y = model(x)
            return jnp.sum(jnp.sin(y) * weight), (y, nnx.state(model, nnx.BatchStat))

        gradient = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
        (_, aux), grads = gradient(params, x)
        return jax.tree.leaves((aux, grads))

    ours, theirs = run(normalization.BatchNorm(3)), run(reference(3))
    assert len(ours) == len(theirs) == 6
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)


def test_frozen_batch_norm_uses_and_keeps_the_running_statistics(x):
    norm, other = normalization.BatchNorm(3), reference(3)
    norm(x), other(x)
    before = np.array(norm.mean[...])
    frozen = nnx.view(norm, use_running_average=True)
    expected = nnx.view(other, use_running_average=True)(x * 2)
    np.testing.assert_allclose(frozen(x * 2), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(norm.mean[...], before)


def test_running_statistics_follow_the_decay(rng):
    norm = normalization.BatchNorm(3)
    x = rng.normal(2.0, 3.0, size=(64, 3)).astype(np.float32)
    norm(jnp.asarray(x))
    np.testing.assert_allclose(norm.mean[...], 0.1 * x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(norm.var[...], 0.9 + 0.1 * x.var(0), rtol=1e-4)


def test_bfloat16_output_with_float32_statistics(x):
    norm = normalization.BatchNorm(3, dtype=jnp.bfloat16)
    assert norm(x).dtype == jnp.bfloat16
    assert norm.mean[...].dtype == norm.scale[...].dtype == jnp.float32
    exact = normalization.BatchNorm(3)
    exact(x.astype(jnp.bfloat16).astype(jnp.float32))
    np.testing.assert_allclose(norm.var[...], exact.var[...], rtol=1e-6)


def test_constant_channels_give_finite_results():
    norm = normalization.BatchNorm(1)
    x = jnp.full((4, 1), 1e4)
    np.testing.assert_allclose(norm(x), 0.0, atol=1e-3)
    gradient = jax.grad(
        lambda x: normalization.batch_norm(x, x[0] * 0 + 1, x[0], epsilon=1e-5)[0].sum()
    )(x)
    assert np.isfinite(gradient).all()


def test_use_bias_false_has_no_bias():
    norm = normalization.BatchNorm(3, use_bias=False)
    assert len(nnx.to_pure_dict(nnx.state(norm, nnx.Param))) == 1


# Errors of torch.nn.functional.batch_norm (CPU, float32) by mean / standard deviation.
PYTORCH = {100.0: 3e-5, 1000.0: 4e-4}


def exact(x, axes=(0, 1, 2)):
    """BatchNorm in float64 with scale 1 and bias 0."""
    wide = np.asarray(x.astype(jnp.float32), np.float64)
    variance = wide.var(axes, keepdims=True)
    return (wide - wide.mean(axes, keepdims=True)) / np.sqrt(variance + 1e-5)


@pytest.mark.parametrize("converged", [False, True])
@pytest.mark.parametrize("ratio", PYTORCH)
def test_errors_at_a_large_mean_do_not_exceed_pytorch(rng, ratio, converged):
    x = jnp.asarray(rng.normal(ratio, 1.0, size=(64, 12, 12, 3)).astype(np.float32))
    norm = normalization.BatchNorm(3)
    if converged:
        norm.mean[...] = jnp.full(3, ratio + 0.1)
    assert np.abs(norm(x) - exact(x)).max() < PYTORCH[ratio]
    narrow = x.astype(jnp.bfloat16)
    half = normalization.BatchNorm(3, dtype=jnp.bfloat16)(narrow)
    wanted = exact(narrow)
    error = np.abs(np.asarray(half.astype(jnp.float32), np.float64) - wanted)
    # One rounding of the result to 8 bits.
    assert np.all(error <= 2.0**-8 * np.abs(wanted) + PYTORCH[ratio])
    norm = nnx.view(norm, use_running_average=True)
    norm.mean[...], norm.var[...] = jnp.full(3, ratio), jnp.ones(3)
    expected = (np.asarray(x, np.float64) - ratio) / np.sqrt(1 + 1e-5)
    assert np.abs(norm(x) - expected).max() < PYTORCH[ratio]


@pytest.mark.parametrize("ratio", PYTORCH)
def test_gradients_at_a_large_mean_equal_float64(rng, ratio):
    x = jnp.asarray(rng.normal(ratio, 1.0, size=(16, 6, 6, 3)).astype(np.float32))
    g = rng.normal(size=x.shape)
    scale, bias = jnp.asarray([0.5, 1.0, -2.0]), jnp.zeros(3)
    run = lambda *a: normalization.batch_norm(*a, epsilon=1e-5)[0]
    _, transpose = jax.vjp(run, x, scale, bias)
    dx, d_scale, d_bias = transpose(jnp.asarray(g, jnp.float32))
    hat, inverse = (
        exact(x),
        1 / np.sqrt(np.asarray(x, np.float64).var((0, 1, 2)) + 1e-5),
    )
    mean = lambda a: a.mean((0, 1, 2))
    expected = np.asarray(scale) * inverse * (g - mean(g) - hat * mean(g * hat))
    np.testing.assert_allclose(dx, expected, rtol=0, atol=1e-5)
    sums = (g * hat).sum((0, 1, 2))
    np.testing.assert_allclose(d_scale, sums, rtol=0, atol=1e-4)
    np.testing.assert_allclose(d_bias, g.sum((0, 1, 2)), rtol=0, atol=1e-4)


def grouped(x, num_groups, norm=None):
    norm = normalization.BatchNorm(3) if norm is None else norm
    normalization.set_batch_norm_groups(norm, num_groups)
    graphdef, params, rest = nnx.split(norm, nnx.Param, ...)

    def loss(params, x):
        model = nnx.merge(graphdef, params, rest, copy=True)
        y = model(x)
        return jnp.sum(jnp.sin(y)), (y, nnx.state(model, nnx.BatchStat))

    gradient = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    (_, (y, statistics)), grads = jax.jit(gradient)(params, x)
    return y, statistics, grads


def test_groups_equal_separate_batches_of_consecutive_rows(x):
    y, statistics, (d_params, dx) = grouped(x, 4)
    parts = [grouped(part, 1) for part in jnp.split(x, 4)]
    np.testing.assert_allclose(
        y, jnp.concatenate([part[0] for part in parts]), atol=1e-6
    )
    together = jnp.concatenate([part[2][1] for part in parts])
    np.testing.assert_allclose(dx, together, atol=1e-5)
    mean_of_parts = lambda *leaves: sum(leaves) / 4
    averages = jax.tree.map(mean_of_parts, *(part[1] for part in parts))
    for got, want in zip(
        jax.tree.leaves(statistics), jax.tree.leaves(averages), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-5)
    sums = jax.tree.map(lambda *leaves: sum(leaves), *(part[2][0] for part in parts))
    for got, want in zip(jax.tree.leaves(d_params), jax.tree.leaves(sums), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_groups", [1, 2, 8, 16])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_groups_do_not_depend_on_the_number_of_devices(
    rng, make_mesh, num_groups, offset
):
    x = jnp.asarray(rng.normal(offset, 1.0, size=(32, 3, 2, 3)).astype(np.float32))
    split = jax.device_put(x, jax.NamedSharding(make_mesh(8), jax.P("data")))
    got, expected = grouped(split, num_groups), grouped(x, num_groups)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_view_sets_groups_without_changing_the_module(x):
    norm = normalization.BatchNorm(3)
    view = nnx.view(norm, num_groups=2)
    assert (norm.num_groups, view.num_groups) == (1, 2)
    view(x)
    assert norm.mean is view.mean


def test_rejects_groups_that_do_not_divide_the_rows(x):
    norm = normalization.BatchNorm(3)
    normalization.set_batch_norm_groups(norm, 3)
    with pytest.raises(
        errors.UserError, match=r"multiple of 3; got 8. Use 6 or 9 rows"
    ):
        norm(x)
    with pytest.raises(errors.UserError, match=r"num_groups must be a whole number"):
        normalization.set_batch_norm_groups(norm, 0)
