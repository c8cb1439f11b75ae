"""Color operations against colorsys, Pillow and NumPy formulas."""

import colorsys

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from simclr_jax.augment import ops
from tests import helpers

# Ties, grays and the corners of the cube, where formulas of hue go wrong.
CORNERS = np.stack(
    np.meshgrid([0.0, 0.5, 1.0], [0.0, 0.5, 1.0], [0.0, 0.5, 1.0]), axis=-1
).reshape(1, 27, 3)


@pytest.fixture
def image(rng):
    random = rng.random((3, 27, 3))
    return np.concatenate([CORNERS, random]).astype(np.float32)


def in_hsv(image, change):
    """Applies ``change`` to the (h, s, v) of every pixel, one at a time."""
    out = np.empty_like(image)
    for index in np.ndindex(image.shape[:2]):
        pixel = (float(channel) for channel in image[index])
        out[index] = colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*pixel)))
    return out


@pytest.mark.parametrize("delta", [-0.5, -0.2, 0.0, 0.13, 1 / 3, 0.5])
def test_hue_matches_colorsys(image, delta):
    expected = in_hsv(image, lambda h, s, v: ((h + delta) % 1.0, s, v))
    got = ops.adjust_hue(jnp.asarray(image), delta=delta)
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.8, 50.0])
def test_saturation_matches_colorsys(image, factor):
    expected = in_hsv(image, lambda h, s, v: (h, min(1.0, s * factor), v))
    got = ops.adjust_saturation(jnp.asarray(image), factor=factor)
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])


def test_hue_and_saturation_commute(image):
    image = jnp.asarray(image)
    both = ops.adjust_hue_and_saturation(image, delta=0.2, factor=1.7)
    one = ops.adjust_saturation(ops.adjust_hue(image, delta=0.2), factor=1.7)
    other = ops.adjust_hue(ops.adjust_saturation(image, factor=1.7), delta=0.2)
    np.testing.assert_allclose(both, one, **helpers.TOLERANCE["image"])
    np.testing.assert_allclose(both, other, **helpers.TOLERANCE["image"])


def test_hue_turns_red_to_green():
    red = jnp.asarray([[[1.0, 0.0, 0.0]]])
    got = ops.adjust_hue(red, delta=1 / 3)
    np.testing.assert_allclose(got, [[[0, 1, 0]]], **helpers.TOLERANCE["image"])


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.6])
def test_contrast_matches_numpy(rng, factor):
    image = rng.random((5, 7, 3)).astype(np.float32)
    expected = np.empty_like(image)
    for channel in range(3):
        plane = image[..., channel].astype(np.float64)
        shifted = (plane - plane.mean()) * factor + plane.mean()
        expected[..., channel] = np.clip(shifted, 0, 1)
    got = ops.adjust_contrast(jnp.asarray(image), factor=factor)
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])


def test_brightness_matches_numpy(image):
    got = ops.adjust_brightness(jnp.asarray(image), amount=1.4)
    np.testing.assert_allclose(
        got, np.clip(image * 1.4, 0, 1), **helpers.TOLERANCE["image"]
    )
    got = ops.adjust_brightness(jnp.asarray(image), amount=-0.3, mode="additive")
    np.testing.assert_allclose(
        got, np.clip(image - 0.3, 0, 1), **helpers.TOLERANCE["image"]
    )


def test_grayscale_matches_pillow(rng):
    image = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image).convert("L")) / 255.0
    got = ops.to_grayscale(jnp.asarray(image / 255.0, jnp.float32))
    for channel in range(3):
        np.testing.assert_allclose(
            got[..., channel], expected, **helpers.TOLERANCE["pillow_8bit"]
        )


def test_grayscale_leaves_one_channel_alone(rng):
    image = jnp.asarray(rng.random((3, 3, 1)), jnp.float32)
    np.testing.assert_array_equal(ops.to_grayscale(image), image)


def test_solarize():
    image = jnp.asarray([[[0.0], [0.25], [0.5], [0.75], [1.0]]])
    got = ops.solarize(image)
    np.testing.assert_array_equal(got[0, :, 0], [0.0, 0.25, 0.5, 0.25, 0.0])


@pytest.mark.parametrize(
    "change",
    [
        lambda image: ops.adjust_brightness(image, amount=1.3),
        lambda image: ops.adjust_brightness(image, amount=0.2, mode="additive"),
        lambda image: ops.adjust_contrast(image, factor=jnp.float32(1.5)),
        lambda image: ops.adjust_saturation(image, factor=1.7),
        lambda image: ops.adjust_hue(image, delta=jnp.float32(0.15)),
        ops.to_grayscale,
        lambda image: ops.solarize(image, threshold=jnp.float32(0.4)),
    ],
)
def test_bfloat16_is_kept_and_rounded_once(image, change):
    half = jnp.asarray(image, jnp.bfloat16)
    got = change(half)
    assert got.dtype == jnp.bfloat16
    expected = change(half.astype(jnp.float32))
    # One rounding to eight bits.
    np.testing.assert_allclose(
        got.astype(jnp.float32), expected, rtol=2.0**-8, atol=1e-6
    )


def test_errors():
    gray = jnp.zeros((2, 2, 1))
    for operation, option in (
        (ops.adjust_hue, {"delta": 0.1}),
        (ops.adjust_saturation, {"factor": 0.5}),
    ):
        with pytest.raises(ValueError, match=r"three channels.*got shape \(2, 2, 1\)"):
            operation(gray, **option)
    with pytest.raises(ValueError, match=r"'multiplicative' or 'additive'; got 'add'"):
        ops.adjust_brightness(gray, amount=0.1, mode="add")
