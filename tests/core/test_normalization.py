import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simclr_jax.core import normalization


def reference(num_channels, **options):
    return nnx.BatchNorm(
        num_channels, momentum=0.9, epsilon=1e-5, rngs=nnx.Rngs(0), **options
    )


@pytest.fixture
def x(rng):
    return jnp.asarray(rng.normal(2.0, 3.0, size=(8, 5, 4, 3)).astype(np.float32))


def test_values_statistics_and_gradients_are_those_of_flax(x, rng):
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


def test_frozen_it_uses_the_running_statistics_and_keeps_them(x):
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


def test_a_constant_channel_is_finite():
    norm = normalization.BatchNorm(1)
    x = jnp.full((4, 1), 1e4)
    np.testing.assert_allclose(norm(x), 0.0, atol=1e-3)
    gradient = jax.grad(
        lambda x: normalization.batch_norm(x, x[0] * 0 + 1, x[0], epsilon=1e-5)[0].sum()
    )(x)
    assert np.isfinite(gradient).all()


def test_shift_can_be_left_out():
    norm = normalization.BatchNorm(3, use_bias=False)
    assert len(nnx.to_pure_dict(nnx.state(norm, nnx.Param))) == 1
