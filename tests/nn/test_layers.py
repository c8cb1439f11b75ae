import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simclr_jax.nn import layers, normalization


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_convolution_pads_symmetrically(rng, kernel_size, stride):
    conv = layers.Conv(2, 5, kernel_size, stride=stride, rngs=nnx.Rngs(0))
    x = jnp.asarray(rng.normal(size=(2, 8, 8, 2)).astype(np.float32))
    side = -(-8 // stride)
    assert conv(x).shape == (2, side, side, 5)
    # The first output pixel sees the corner of the padded image.
    margin = kernel_size // 2
    padded = np.pad(np.asarray(x), ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    window = padded[:, :kernel_size, :kernel_size]
    expected = np.einsum("bhwc,hwcd->bd", window, np.asarray(conv.kernel[...]))
    np.testing.assert_allclose(conv(x)[:, 0, 0], expected, rtol=1e-4, atol=1e-5)


def test_a_new_block_equals_its_shortcut(rng):
    block = layers.ResidualBlock(4, 4, rngs=nnx.Rngs(0))
    x = jnp.asarray(rng.normal(size=(2, 6, 6, 4)).astype(np.float32))
    np.testing.assert_allclose(block(x), np.maximum(x, 0), atol=1e-6)


def test_shape_of_a_bottleneck_with_projection():
    block = layers.ResidualBlock(
        4, 16, bottleneck_channels=4, stride=2, use_projection=True, rngs=nnx.Rngs(0)
    )
    graphdef, state = nnx.split(block)
    run = lambda x: nnx.merge(graphdef, state, copy=True)(x)
    shape = jax.ShapeDtypeStruct((2, 6, 6, 4), jnp.float32)
    assert jax.eval_shape(run, shape).shape == (2, 3, 3, 16)


def test_a_bottleneck_equals_its_separate_operations(rng):
    block = layers.ResidualBlock(
        4,
        8,
        bottleneck_channels=2,
        use_projection=True,
        last_scale=0.5,
        rngs=nnx.Rngs(0),
    )
    x = jnp.asarray(rng.normal(size=(4, 6, 6, 4)).astype(np.float32))
    graphdef, params, rest = nnx.split(block, nnx.Param, ...)

    def one_by_one(block, x):
        shortcut = block.projection_norm(block.projection(x))
        for layer in block.layers:
            x = layer(x)
        return jax.nn.relu(shortcut + block.last_norm(block.last_conv(x)))

    def run(apply):
        def loss(params, x):
            model = nnx.merge(graphdef, params, rest, copy=True)
            y = apply(model, x)
            return jnp.sum(jnp.sin(y)), (y, nnx.state(model, nnx.BatchStat))

        gradient = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
        (_, aux), grads = jax.jit(gradient)(params, x)
        return jax.tree.leaves((aux, grads))

    actual = run(lambda model, x: model(x))
    for a, b in zip(actual, run(one_by_one), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_a_bottleneck_normalizes_each_group_separately(rng):
    options = {"bottleneck_channels": 2, "use_projection": True, "last_scale": 0.5}
    block = layers.ResidualBlock(4, 8, **options, rngs=nnx.Rngs(0))
    x = jnp.asarray(rng.normal(size=(4, 6, 6, 4)).astype(np.float32))
    graphdef, state = nnx.split(block)
    run = jax.jit(lambda x: nnx.merge(graphdef, state, copy=True)(x))
    parts = [run(part) for part in jnp.split(x, 2)]
    normalization.set_batch_norm_groups(block, 2)
    got = jax.jit(lambda x: nnx.merge(nnx.graphdef(block), state, copy=True)(x))(x)
    np.testing.assert_allclose(got, jnp.concatenate(parts), rtol=1e-4, atol=1e-5)
