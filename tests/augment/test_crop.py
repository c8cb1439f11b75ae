"""Crop boxes by their distribution, resampled boxes against Pillow."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from simclr_jax import augment
from simclr_jax.augment import crop
from tests import helpers

NUM_DRAWS = 20_000


def draw_boxes(key, **options):
    draw = functools.partial(crop.draw_crop_box, **options)
    boxes = jax.jit(jax.vmap(draw))(jax.random.split(key, NUM_DRAWS))
    return crop.Box(*(np.asarray(side, np.float64) for side in boxes))


def torchvision_boxes(rng, height, width, area, aspect, number):
    """The rule of torchvision's RandomResizedCrop, without rounding to pixels."""
    out = []
    for _ in range(number):
        for _ in range(10):
            target = height * width * rng.uniform(*area)
            ratio = np.exp(rng.uniform(np.log(aspect[0]), np.log(aspect[1])))
            w, h = np.sqrt(target * ratio), np.sqrt(target / ratio)
            if w <= width and h <= height:
                out.append((h, w))
                break
    return np.asarray(out)


@pytest.mark.parametrize(("height", "width"), [(224.0, 224.0), (375.0, 500.0)])
def test_box_quantiles_match_torchvision_rule(key, rng, height, width):
    boxes = draw_boxes(key, height=height, width=width)
    expected = torchvision_boxes(
        rng, height, width, (0.08, 1.0), (3 / 4, 4 / 3), NUM_DRAWS
    )
    levels = np.linspace(0.05, 0.95, 19)
    for got, want in (
        (boxes.height * boxes.width, expected[:, 0] * expected[:, 1]),
        (boxes.width / boxes.height, expected[:, 1] / expected[:, 0]),
    ):
        spread = np.ptp(want)
        difference = np.quantile(got, levels) - np.quantile(want, levels)
        # Four standard errors of the difference of two medians of 20,000 draws.
        assert np.max(np.abs(difference)) < 0.02 * spread


@pytest.mark.parametrize("sampler", ["uniform_area", "tensorflow"])
def test_boxes_are_inside_and_in_range(key, sampler):
    area, aspect = (0.2, 0.9), (0.5, 1.5)
    boxes = draw_boxes(
        key, height=30.0, width=50.0, area=area, aspect=aspect, sampler=sampler
    )
    slack = helpers.TOLERANCE["image"]["atol"] * 50
    share, ratio = boxes.height * boxes.width / 1500, boxes.width / boxes.height
    assert np.min(boxes.top) >= -slack
    assert np.min(boxes.left) >= -slack
    assert np.max(boxes.top + boxes.height) <= 30 + slack
    assert np.max(boxes.left + boxes.width) <= 50 + slack
    assert area[0] - slack <= np.min(share) <= np.max(share) <= area[1] + slack
    assert aspect[0] - slack <= np.min(ratio) <= np.max(ratio) <= aspect[1] + slack


def test_tensorflow_sampler_has_the_measured_deciles(key):
    """Deciles of 20,000 boxes of ``sample_distorted_bounding_box`` on 375 x 500."""
    boxes = draw_boxes(key, height=375.0, width=500.0, sampler="tensorflow")
    share = boxes.height * boxes.width / (375 * 500)
    got = np.quantile(share, [0.1, 0.25, 0.5, 0.75, 0.9])
    measured = [0.139, 0.209, 0.357, 0.546, 0.698]
    # Two samples of 20,000 draws, and TensorFlow rounds to whole pixels.
    np.testing.assert_allclose(got, measured, atol=0.015)
    assert np.min(share) >= 0.0999


def test_box_that_cannot_fit_is_the_largest_central_one(key):
    box = crop.draw_crop_box(key, height=10.0, width=100.0, area=(1.0, 1.0))
    np.testing.assert_allclose(
        [float(side) for side in box],
        [0.0, (100 - 40 / 3) / 2, 10.0, 40 / 3],
        **helpers.TOLERANCE["image"],
    )


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_resampled_box_matches_pillow(rng, method):
    image = rng.random((28, 36), dtype=np.float32)
    top, left, height, width = 3.25, 5.5, 17.75, 20.0
    resampling = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}[method]
    expected = Image.fromarray(image).resize(
        (16, 12), resampling, box=(left, top, left + width, top + height)
    )
    box = crop.Box(*map(jnp.float32, (top, left, height, width)))
    got = crop.resample_box(
        jnp.asarray(image)[..., None], box, size=(12, 16), method=method
    )
    np.testing.assert_allclose(
        got[..., 0], np.asarray(expected), **helpers.TOLERANCE["image"]
    )


def test_crop_of_the_whole_image_is_a_resize(key, rng):
    image = jnp.asarray(rng.random((12, 12, 3)), jnp.float32)
    options = {"size": 8, "method": "bicubic"}
    got = augment.random_resized_crop(
        key, image, area=(1.0, 1.0), aspect=(1.0, 1.0), **options
    )
    expected = jnp.clip(augment.resize(image, **options), 0.0, 1.0)
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])


def test_center_crop_takes_the_central_pixels(rng):
    image = jnp.asarray(rng.random((28, 31, 1)), jnp.float32)
    got = augment.center_crop(image, size=24)
    np.testing.assert_array_equal(got, image[2:26, 4:28])


@pytest.mark.parametrize("size", [(16, 16), (12, 18)])
def test_center_crop_keeps_a_proportion_of_the_less_cropped_side(rng, size):
    image = rng.random((40, 56), dtype=np.float32)
    crop_h, crop_w = {(16, 16): (35, 35), (12, 18): (33, 49)}[size]
    top, left = (40 - crop_h + 1) // 2, (56 - crop_w + 1) // 2
    central = image[top : top + crop_h, left : left + crop_w]
    expected = Image.fromarray(central).resize(size[::-1], Image.Resampling.BICUBIC)
    got = augment.center_crop(
        jnp.asarray(image)[..., None], size=size, proportion=0.875
    )
    np.testing.assert_allclose(
        got[..., 0], np.clip(expected, 0, 1), **helpers.TOLERANCE["image"]
    )


def test_errors(key):
    image = jnp.zeros((8, 8, 3))
    with pytest.raises(ValueError, match=r"cannot take 9 x 9 pixels out of .* 8 x 8"):
        augment.center_crop(image, size=9)
    with pytest.raises(ValueError, match=r"proportion must be"):
        augment.center_crop(image, size=4, proportion=1.5)
    with pytest.raises(ValueError, match=r"area must be a pair"):
        augment.random_resized_crop(key, image, size=4, area=(0.5, 2.0))
    with pytest.raises(ValueError, match=r"area must be a number > 0"):
        augment.random_resized_crop(key, image, size=4, area=(0.0, 1.0))
    with pytest.raises(ValueError, match=r"aspect must be a pair"):
        augment.random_resized_crop(key, image, size=4, aspect=(2.0, 1.0))
    with pytest.raises(ValueError, match=r"Unknown crop sampler 'tf'"):
        augment.random_resized_crop(key, image, size=4, sampler="tf")
