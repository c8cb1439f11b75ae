"""The blur against a NumPy convolution with renormalized borders."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import augment
from simclr_jax.augment import ops
from simclr_jax.augment.ops import blur
from tests import helpers


def naive_blur(image, sigma, kernel_size, *, parity=False):
    radius = kernel_size // 2
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)

    def along(line):
        weight = np.convolve(np.ones(len(line)), taps, mode="same")
        weight = np.sum(taps) if parity else weight
        return np.convolve(line, taps, mode="same") / weight

    image = np.apply_along_axis(along, 0, image.astype(np.float64))
    return np.apply_along_axis(along, 1, image)


@pytest.mark.parametrize("sigma", [0.1, 0.7, 2.0])
@pytest.mark.parametrize("kernel_size", [3, 9])
@pytest.mark.parametrize("parity", [False, True])
def test_blur_matches_numpy(rng, sigma, kernel_size, parity):
    image = rng.random((12, 17, 3)).astype(np.float32)
    options = {"sigma": sigma, "kernel_size": kernel_size, "parity": parity}
    got = ops.gaussian_blur(jnp.asarray(image), **options)
    expected = naive_blur(image, **options)
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])


@pytest.mark.parametrize("parity", [False, True])
def test_shifts_match_matrices(rng, parity):
    image = jnp.asarray(rng.random((12, 17, 3)), jnp.float32)
    for sigma in (0.05, 0.4, 2.0):
        options = {"sigma": jnp.float32(sigma), "radius": 4, "parity": parity}
        got = blur.blur_by_shifts(image, **options)
        expected = blur.blur_by_matrices(image, **options)
        np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])


def test_constant_image_stays_constant():
    image = jnp.full((16, 16, 1), 0.7)
    got = ops.gaussian_blur(image, sigma=2.0, kernel_size=7)
    np.testing.assert_allclose(got, image, **helpers.TOLERANCE["image"])


def test_parity_darkens_the_borders_like_the_original():
    image = jnp.ones((224, 224, 1))
    got = ops.gaussian_blur(image, sigma=2.0, parity=True)
    np.testing.assert_allclose(got[112, 112], 1.0, **helpers.TOLERANCE["image"])
    for place in ((0, 112), (112, 223)):
        assert round(float(got[place][0]), 2) == 0.60
    for corner in ((0, 0), (223, 0)):
        assert round(float(got[corner][0]), 2) == 0.36


def test_parity_reaches_the_random_blur(key):
    image = jnp.ones((40, 40, 1))
    blurred = augment.RandomGaussianBlur(sigma=(2.0, 2.0), parity=True)(key, image)
    assert float(blurred[0, 20, 0]) < 0.7
    kept = augment.RandomGaussianBlur(probability=0.0, parity=True)(key, image)
    np.testing.assert_array_equal(kept, image)


def test_bfloat16_is_kept(key, rng):
    image = jnp.asarray(rng.random((20, 20, 3)), jnp.bfloat16)
    got = augment.RandomGaussianBlur(kernel_size=5)(key, image)
    assert got.dtype == jnp.bfloat16
    full = augment.RandomGaussianBlur(kernel_size=5)(key, image.astype(jnp.float32))
    np.testing.assert_allclose(
        got.astype(jnp.float32), full, **helpers.TOLERANCE["bfloat16_view"]
    )


@pytest.mark.parametrize(
    ("height", "expected"),
    [(224, 23), (160, 17), (128, 13), (96, 9), (64, 7), (32, 3), (24, 3), (9, 1)],
)
def test_default_kernel_size_is_that_of_the_original(height, expected):
    assert ops.default_kernel_size(height) == expected


def test_probability_zero_and_one_tap_keep_the_image(key, rng):
    image = jnp.asarray(rng.random((20, 20, 1)), jnp.float32)
    got = augment.RandomGaussianBlur(probability=0.0)(key, image)
    np.testing.assert_array_equal(got, image)
    got = augment.RandomGaussianBlur(kernel_size=1)(key, image)
    np.testing.assert_array_equal(got, image)


def test_sigma_is_uniform_and_applied_to_the_given_share(key):
    """The center of a blurred impulse tells the width of its kernel."""
    impulse = jnp.zeros((9, 9, 1)).at[4, 4].set(1.0)
    number, probability = 2000, 0.5
    random_blur = augment.RandomGaussianBlur(kernel_size=3, probability=probability)

    def peak(sample_key):
        blurred = random_blur(sample_key, impulse)
        return blurred[4, 4, 0], blurred[4, 3, 0]

    center, beside = jax.jit(jax.vmap(peak))(jax.random.split(key, number))
    is_blurred = np.asarray(beside) > 1e-4
    sigma = np.sqrt(-0.5 / np.log(np.asarray(beside / center)[is_blurred]))
    # exp(-1 / (2 sigma^2)) passes 1e-4 at sigma = 0.233, 7% of the range.
    share = probability * (2.0 - 0.233) / 1.9
    assert abs(is_blurred.mean() - share) < 4 * 0.5 / np.sqrt(number)
    np.testing.assert_allclose(
        np.quantile(sigma, [0.25, 0.5, 0.75]),
        0.233 + (2.0 - 0.233) * np.asarray([0.25, 0.5, 0.75]),
        atol=4 * 0.5 * 1.8 / np.sqrt(number / 2),
    )


def test_errors():
    image = jnp.zeros((4, 4, 1))
    with pytest.raises(ValueError, match=r"kernel_size must be odd.*got 4"):
        ops.gaussian_blur(image, sigma=1.0, kernel_size=4)
    with pytest.raises(ValueError, match=r"sigma must be a number > 0"):
        augment.RandomGaussianBlur(sigma=(0.0, 1.0))
    with pytest.raises(ValueError, match=r"sigma must be a pair"):
        augment.RandomGaussianBlur(sigma=(2.0, 1.0))
