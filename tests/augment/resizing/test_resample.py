"""Resizing against Pillow and against a naive sum over pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from simclr_jax.augment.resizing import kernels, resample, taps
from tests import helpers

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def naive_weights(start, length, in_size, out_size, method, antialias):
    def kernel(x):
        x = abs(x)
        if method == "bilinear":
            return max(0.0, 1.0 - x)
        if x < 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1.0
        return -0.5 * x**3 + 2.5 * x**2 - 4.0 * x + 2.0 if x < 2 else 0.0

    scale = length / out_size
    stretch = max(1.0, scale) if antialias else 1.0
    out = np.zeros((out_size, in_size))
    for i in range(out_size):
        center = start + (i + 0.5) * scale
        for j in range(in_size):
            out[i, j] = kernel((j + 0.5 - center) / stretch)
        out[i] /= out[i].sum()
    return out


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(("start", "length"), [(0.0, 13.0), (2.3, 7.9), (5.5, 3.1)])
def test_weights_match_naive_sum(method, antialias, start, length):
    got = resample.resample_weights(
        start=start,
        length=length,
        in_size=13,
        out_size=6,
        method=method,
        antialias=antialias,
    )
    expected = naive_weights(start, length, 13, 6, method, antialias)
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
def test_weights_beyond_the_valid_pixels_are_zero(method, antialias):
    """Pixels 2 to 10 of 13 give the weights of an axis of 8 pixels, moved by 2."""
    options = {"out_size": 6, "method": method, "antialias": antialias}
    got = resample.resample_weights(
        start=jnp.float32(2.5),
        length=7.25,
        in_size=13,
        valid=(2.0, jnp.float32(10.0)),
        **options,
    )
    alone = resample.resample_weights(start=0.5, length=7.25, in_size=8, **options)
    np.testing.assert_allclose(got[:, 2:10], alone, **helpers.TOLERANCE["image"])
    assert not np.any(got[:, :2])
    assert not np.any(got[:, 10:])


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
def test_taps_match_matrices(rng, method, antialias):
    """Shrunk and enlarged, up to the border and not, mirrored and not."""
    image = jnp.asarray(rng.random((21, 26, 3)), jnp.float32)
    rows = kernels.Span(jnp.float32(2.25), 16.5, valid=(2.0, jnp.float32(19.0)))
    options = {"size": (6, 40), "method": method, "antialias": antialias}
    for mirrored in (False, jnp.bool_(True)):
        columns = kernels.Span(0.0, 26.0, valid=(0.0, 26.0), mirrored=mirrored)
        got = taps.resample_by_taps(image, rows, columns, **options)
        expected = resample.resample_by_matrices(image, rows, columns, **options)
        np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])


def test_large_image_matches_matrices(rng):
    """On every platform the result is that of the matrices."""
    image = jnp.asarray(rng.random((70, 80, 1)), jnp.float32)
    got = resample.resize(image, size=(40, 90), method="bicubic")
    spans = (kernels.Span(0.0, side, valid=(0.0, side)) for side in (70.0, 80.0))
    expected = resample.resample_by_matrices(
        image, *spans, size=(40, 90), method="bicubic", antialias=True
    )
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])


def test_bfloat16_products_add_in_float32(rng):
    """1,024 ones: a sum in bfloat16 would stop at 256."""
    ones = jnp.ones((1024, 2, 1), jnp.bfloat16)
    got = resample.apply_along_axes(ones, jnp.ones((1, 1024)), jnp.eye(2))
    assert got.dtype == jnp.float32
    np.testing.assert_array_equal(got, np.full((1, 2, 1), 1024.0))
    image = jnp.asarray(rng.random((6, 6, 1)), jnp.bfloat16)
    assert resample.resize(image, size=4).dtype == jnp.bfloat16


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(12, 17), (40, 50)])
def test_resize_matches_pillow_float(rng, method, size):
    image = rng.random((20, 31), dtype=np.float32)
    pillow = Image.fromarray(image).resize(size[::-1], FILTERS[method])
    got = resample.resize(jnp.asarray(image)[..., None], size=size, method=method)
    np.testing.assert_allclose(
        got[..., 0], np.asarray(pillow), **helpers.TOLERANCE["image"]
    )


def test_resize_matches_pillow_color(rng):
    image = rng.integers(0, 256, (20, 31, 3), dtype=np.uint8)
    pillow = Image.fromarray(image).resize((17, 12), Image.Resampling.BILINEAR)
    got = resample.resize(jnp.asarray(image / 255.0, jnp.float32), size=(12, 17))
    np.testing.assert_allclose(
        got, np.asarray(pillow) / 255.0, **helpers.TOLERANCE["pillow_8bit"]
    )


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_resize_matches_jax_image(rng, method):
    image = jnp.asarray(rng.random((9, 14, 3)), jnp.float32)
    expected = jax.image.resize(image, (6, 20, 3), method, antialias=False)
    got = resample.resize(image, size=(6, 20), method=method, antialias=False)
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])


def test_resize_to_own_size_is_the_image(rng):
    image = jnp.asarray(rng.random((5, 5, 1)), jnp.float32)
    np.testing.assert_array_equal(resample.resize(image, size=5), image)


def test_size_pair_accepts_one_number():
    assert resample.size_pair("size", 24) == (24, 24)
    assert resample.size_pair("size", [24, 32]) == (24, 32)


def test_errors():
    image = jnp.zeros((4, 4, 1))
    with pytest.raises(ValueError, match=r"Did you mean 'bicubic'"):
        resample.resize(image, size=2, method="bicubik")
    with pytest.raises(ValueError, match=r"size must be a whole number >= 1; got 0"):
        resample.resize(image, size=0)
    with pytest.raises(ValueError, match=r"one number or \(height, width\)"):
        resample.size_pair("size", (1, 2, 3))
