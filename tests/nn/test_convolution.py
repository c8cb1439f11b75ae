import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simclr_jax.core import errors
from simclr_jax.nn import convolution
from tests.helpers import TOLERANCE

TOL = TOLERANCE["convolution"]

# image [b h w c], kernel [kh kw d], strides, padding
CASES = {
    "first layer": ((8, 24, 24, 1), (3, 3, 32), (1, 1), "SAME"),
    "in pieces": ((32, 12, 12, 32), (3, 3, 16), (1, 1), ((1, 1), (1, 1))),
    "in pieces, stride 2": ((48, 14, 14, 16), (3, 3, 8), (2, 2), ((1, 1), (1, 1))),
    "odd batch": ((31, 13, 11, 16), (3, 3, 4), (1, 1), "VALID"),
    "odd sizes": ((3, 9, 7, 8), (3, 3, 5), (1, 1), "SAME"),
    "1 x 1": ((4, 6, 6, 8), (1, 1, 16), (1, 1), "SAME"),
    "1 x 1, stride 2": ((4, 7, 6, 80), (1, 1, 4), (2, 2), "VALID"),
    "7 x 7, stride 2": ((2, 32, 32, 3), (7, 7, 8), (2, 2), ((3, 3), (3, 3))),
    "5 x 3, uneven": ((2, 8, 9, 2), (5, 3, 4), (1, 2), ((0, 3), (2, 0))),
    "one pixel": ((2, 1, 1, 4), (3, 3, 4), (1, 1), "SAME"),
    "cropped": ((2, 8, 8, 2), (3, 3, 4), (1, 1), ((-1, 0), (1, -2))),
}


def reference(x, kernel, *, strides, padding):
    return jax.lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def example(rng, case, dtype=np.float32):
    shape, (kh, kw, d), strides, padding = CASES[case]
    kernel = rng.normal(size=(kh, kw, shape[3], d)) / np.sqrt(kh * kw * shape[3])
    options = {"strides": strides, "padding": padding}
    x = jnp.asarray(rng.normal(size=shape), dtype)
    kernel = jnp.asarray(kernel, dtype)
    g = rng.normal(
        size=jax.eval_shape(functools.partial(reference, **options), x, kernel).shape
    )
    # Scaled so that every entry of the weight gradient is of order one.
    g = jnp.asarray(g / np.sqrt(np.prod(g.shape[:3])), dtype)
    return x, kernel, g, options


def value_and_gradients(function, x, kernel, g, options):
    y, transpose = jax.vjp(functools.partial(function, **options), x, kernel)
    return y, *transpose(g)


@pytest.mark.parametrize("case", CASES)
def test_value_and_gradients_equal_the_native_operation(rng, case):
    arguments = example(rng, case)
    ours = value_and_gradients(convolution.conv2d, *arguments)
    native = value_and_gradients(reference, *arguments)
    for got, expected in zip(ours, native, strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got, expected, **TOL)


def test_value_is_the_sum_over_the_window(rng):
    x, kernel, _, _ = example(rng, "odd sizes")
    y = convolution.conv2d(x, kernel, padding="VALID")
    window = np.asarray(x)[1, 2:5, 3:6]
    expected = np.einsum("ijc,ijcd->d", window, np.asarray(kernel))
    np.testing.assert_allclose(y[1, 2, 3], expected, **TOL)


@pytest.mark.parametrize("case", ["first layer", "in pieces"])
def test_bfloat16_gradients_accumulate_in_float32(rng, case):
    x, kernel, g, options = example(rng, case, jnp.bfloat16)
    narrow = value_and_gradients(convolution.conv2d, x, kernel, g, options)
    assert [a.dtype for a in narrow] == [jnp.bfloat16] * 3
    wide = (a.astype(jnp.float32) for a in (x, kernel, g))
    expected = value_and_gradients(reference, *wide, options)[2]
    # The sums are float32: one rounding, to 8 bits, of the exact weight gradient.
    error = jnp.abs(narrow[2].astype(jnp.float32) - expected)
    assert jnp.all(error <= 2.0**-8 * jnp.abs(expected) + TOL["atol"])


@pytest.mark.parametrize("case", ["first layer", "in pieces, stride 2"])
def test_jit_checkpoint_and_eager_agree(rng, case):
    x, kernel, g, options = example(rng, case)
    expected = value_and_gradients(convolution.conv2d, x, kernel, g, options)

    def run(function):
        return jax.jit(lambda *a: value_and_gradients(function, *a, {}))(x, kernel, g)

    plain = functools.partial(convolution.conv2d, **options)
    for function in (plain, jax.checkpoint(plain)):
        for got, want in zip(run(function), expected, strict=True):
            np.testing.assert_allclose(got, want, **TOL)


@pytest.mark.parametrize("case", ["first layer", "in pieces"])
def test_vmap_over_kernels_and_images(rng, case):
    x, kernel, g, options = example(rng, case)
    kernels = jnp.stack([kernel, -2 * kernel])
    xs, gs = jnp.stack([x, x[::-1]]), jnp.stack([g, g])
    run = lambda *a: value_and_gradients(convolution.conv2d, *a, options)
    together = jax.vmap(run)(xs, kernels, gs)
    for index in range(2):
        alone = run(xs[index], kernels[index], gs[index])
        for got, expected in zip(together, alone, strict=True):
            np.testing.assert_allclose(got[index], expected, **TOL)


@pytest.mark.parametrize("case", ["first layer", "in pieces"])
def test_eight_devices_equal_one(rng, make_mesh, case):
    x, kernel, g, options = example(rng, case)
    run = jax.jit(lambda *a: value_and_gradients(convolution.conv2d, *a, options))
    spec = jax.sharding.PartitionSpec
    batch = jax.NamedSharding(make_mesh(8), spec("data"))
    everywhere = jax.NamedSharding(make_mesh(8), spec())
    sharded = run(
        jax.device_put(x, batch),
        jax.device_put(kernel, everywhere),
        jax.device_put(g, batch),
    )
    for got, expected in zip(sharded, run(x, kernel, g), strict=True):
        np.testing.assert_allclose(got, expected, **TOL)


def test_other_platforms_use_the_native_operation(rng):
    x, kernel, g, options = example(rng, "in pieces")
    traced = jax.jit(
        lambda *a: value_and_gradients(convolution.conv2d, *a, options)
    ).trace(x, kernel, g)

    def count(platform):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        return text.count("stablehlo.convolution")

    assert count("tpu") == count("cuda") == 3
    assert count("cpu") == 4  # the batch of 4608 pixels makes two pieces


def test_conv2d_errors():
    x, kernel = jnp.zeros((2, 4, 4, 3)), jnp.zeros((3, 3, 3, 8))
    with pytest.raises(errors.UserError, match=r"channels c of the images; got images"):
        convolution.conv2d(x[..., :2], kernel)
    with pytest.raises(errors.UserError, match=r'"SAME", "VALID" or .* got \'FULL\''):
        convolution.conv2d(x, kernel, padding="FULL")
    with pytest.raises(
        errors.UserError,
        match=r"must be two pairs of pixels; got \(\(1, 1\),\)",
    ):
        convolution.conv2d(x, kernel, padding=((1, 1),))
    unchecked = inspect.unwrap(convolution.conv2d)
    with pytest.raises(errors.UserError, match=r"x must have shape \[b h w c\]"):
        unchecked(x[0], kernel)


@pytest.mark.parametrize("shape", [(3, 8, 6, 5), (1, 2, 2, 1)])
def test_max_pool_value_and_gradient(rng, shape):
    x = jnp.asarray(rng.permutation(np.prod(shape)).reshape(shape), jnp.float32)
    native = functools.partial(nnx.max_pool, window_shape=(2, 2), strides=(2, 2))
    y, transpose = jax.vjp(convolution.max_pool_2x2, x)
    expected, native_transpose = jax.vjp(native, x)
    np.testing.assert_array_equal(y, expected)
    g = jnp.asarray(rng.normal(size=y.shape), jnp.float32)
    np.testing.assert_array_equal(transpose(g)[0], native_transpose(g)[0])
    np.testing.assert_array_equal(jax.jit(convolution.max_pool_2x2)(x), y)


def test_max_pool_divides_the_gradient_among_ties():
    pool = lambda block: convolution.max_pool_2x2(block.reshape(1, 2, 2, 1)).sum()
    two = jax.grad(pool)(jnp.array([1.0, 0.0, 1.0, 0.0]))
    np.testing.assert_array_equal(two, [0.5, 0.0, 0.5, 0.0])
    np.testing.assert_array_equal(jax.grad(pool)(jnp.ones(4)), [0.25] * 4)


def test_max_pool_errors():
    with pytest.raises(errors.UserError, match=r"even height and width; got images"):
        convolution.max_pool_2x2(jnp.zeros((1, 3, 4, 1)))
