"""Crop boxes by their distribution, resampled boxes against Pillow."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from simclr_jax import augment
from simclr_jax.augment import ops
from simclr_jax.augment.ops import crop
from tests import helpers

NUM_DRAWS = 10_000
AREA, ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)


def draw_boxes(key, **options):
    draw = functools.partial(crop.sample_crop_box, **options)
    boxes = jax.jit(jax.vmap(draw))(jax.random.split(key, NUM_DRAWS))
    return np.stack([np.asarray(side, np.float64) for side in boxes], axis=1)


def uniform_area_rule(rng, height, width, area, aspect):
    """``RandomResizedCrop.get_params`` as torchvision documents and writes it."""
    for _ in range(10):
        target = height * width * rng.uniform(*area)
        ratio = np.exp(rng.uniform(np.log(aspect[0]), np.log(aspect[1])))
        w, h = round(np.sqrt(target * ratio)), round(np.sqrt(target / ratio))
        if 0 < w <= width and 0 < h <= height:
            top = rng.integers(0, height - h, endpoint=True)
            left = rng.integers(0, width - w, endpoint=True)
            return top, left, h, w
    w, h = width, height
    if width / height < aspect[0]:
        h = round(width / aspect[0])
    elif width / height > aspect[1]:
        w = round(height * aspect[1])
    return (height - h) // 2, (width - w) // 2, h, w


def distorted_box_rule(rng, height, width, area, aspect):
    """``sample_distorted_bounding_box`` with the whole image as the object.

    TensorFlow's kernel tries 100 times to generate a crop and keeps the first one that
    covers ``min_object_covered`` = 0.1 of the object.
    """
    for _ in range(100):
        ratio = rng.uniform(*aspect)
        box = generate_crop(rng, height, width, area, ratio)
        if box is not None and box[2] * box[3] >= 0.1 * height * width:
            return box
    return 0, 0, height, width


def generate_crop(rng, height, width, area, ratio):
    """``GenerateRandomCrop`` of TensorFlow: a uniform height among the possible."""
    smallest, largest = area[0] * height * width, area[1] * height * width
    h = round(np.sqrt(smallest / ratio))
    max_h = round(np.sqrt(largest / ratio))
    if round(max_h * ratio) > width:
        max_h = int((width + 0.5 - 1e-7) / ratio)
    max_h = min(max_h, height)
    h = min(h, max_h)
    if h < max_h:
        h += rng.integers(0, max_h - h, endpoint=True)
    w = round(h * ratio)
    if w * h < smallest:
        h, w = h + 1, round((h + 1) * ratio)
    if w * h > largest:
        h, w = h - 1, round((h - 1) * ratio)
    if not smallest <= w * h <= largest or w > width or h > height:
        return None
    top = rng.integers(0, height - h) if h < height else 0
    left = rng.integers(0, width - w) if w < width else 0
    return top, left, h, w


RULES = {"uniform_area": uniform_area_rule, "tf_distorted_box": distorted_box_rule}


def measures_of(boxes, height, width):
    """Share of the area, aspect ratio and place of the center, one row each."""
    top, left, h, w = boxes.T
    return {
        "area": h * w / (height * width),
        "aspect": w / h,
        "center_y": (top + h / 2) / height,
        "center_x": (left + w / 2) / width,
    }


@pytest.mark.parametrize("sampler", sorted(RULES))
@pytest.mark.parametrize(
    ("height", "width", "area"),
    [
        (224, 224, AREA),
        (375, 500, AREA),
        # In so narrow a range a pixel counts for more: larger images make up for it.
        (896, 896, (0.05, 0.14)),
        (1500, 2000, (0.05, 0.14)),
    ],
)
def test_boxes_are_distributed_like_the_original_rule(
    key, rng, sampler, height, width, area
):
    """Two samples: the rule's share of draws below each of our quantiles."""
    ours = draw_boxes(
        key, height=float(height), width=float(width), area=area, sampler=sampler
    )
    rule = [RULES[sampler](rng, height, width, area, ASPECT) for _ in range(NUM_DRAWS)]
    theirs = measures_of(np.asarray(rule, np.float64), height, width)
    levels = np.linspace(0.05, 0.95, 19)
    # Four and a half standard errors of the difference of two shares of 10,000 draws,
    # which one of these 304 comparisons passes by chance in 500 runs of the test. The
    # originals round to whole pixels: half a percent of the draws may change sides.
    allowed = 4.5 * np.sqrt(2 * levels * (1 - levels) / NUM_DRAWS) + 0.005
    for name, got in measures_of(ours, height, width).items():
        below = [np.mean(theirs[name] <= value) for value in np.quantile(got, levels)]
        assert np.all(np.abs(below - levels) < allowed), name


PUBLISHED = {
    ("tf_distorted_box", 375, 500): (0.391, (0.139, 0.209, 0.357, 0.546, 0.698)),
    ("tf_distorted_box", 224, 224): (0.424, None),
    ("uniform_area", 375, 500): (0.431, None),
    ("uniform_area", 224, 224): (0.478, None),
}
"""Mean and deciles 10, 25, 50, 75, 90 of the area, from 20,000 boxes of TensorFlow's
function and of torchvision's."""


@pytest.mark.parametrize("case", sorted(PUBLISHED, key=str))
def test_the_measured_mean_and_deciles_of_the_originals(key, case):
    sampler, height, width = case
    mean, deciles = PUBLISHED[case]
    boxes = draw_boxes(key, height=float(height), width=float(width), sampler=sampler)
    area = measures_of(boxes, height, width)["area"]
    # Four standard errors of the difference of means of 10,000 and of 20,000 draws, and
    # half of the last digit.
    error = np.std(area) * np.sqrt(1 / NUM_DRAWS + 1 / 20_000)
    assert abs(np.mean(area) - mean) < 4 * error + 0.0005
    if deciles is not None:
        levels = np.asarray([0.1, 0.25, 0.5, 0.75, 0.9])
        below = np.asarray([np.mean(area <= value) for value in deciles])
        error = np.sqrt(levels * (1 - levels) * (1 / NUM_DRAWS + 1 / 20_000))
        # Half of a digit of a decile is 0.0005 of the area, where the density is < 4.
        assert np.all(np.abs(below - levels) < 4 * error + 0.002)
    small = np.mean(area < 0.1)
    if sampler == "tf_distorted_box":
        assert np.min(area) >= 0.1 - 1e-6
    else:
        # Between 2.4% and 3% in the original, with the standard error of a share.
        assert abs(small - 0.027) < 0.003 + 4 * np.sqrt(0.027 / NUM_DRAWS)


@pytest.mark.parametrize("sampler", sorted(RULES))
def test_boxes_are_inside_and_in_range(key, sampler):
    area, aspect = (0.2, 0.9), (0.5, 1.5)
    top, left, h, w = draw_boxes(
        key, height=30.0, width=50.0, area=area, aspect=aspect, sampler=sampler
    ).T
    slack = helpers.TOLERANCE["image"]["atol"] * 50
    share, ratio = h * w / 1500, w / h
    assert np.min(top) >= -slack
    assert np.min(left) >= -slack
    assert np.max(top + h) <= 30 + slack
    assert np.max(left + w) <= 50 + slack
    assert area[0] - slack <= np.min(share) <= np.max(share) <= area[1] + slack
    assert aspect[0] - slack <= np.min(ratio) <= np.max(ratio) <= aspect[1] + slack


@pytest.mark.parametrize(
    ("sampler", "area", "expected"),
    [
        ("uniform_area", (1.0, 1.0), (0.0, (100 - 40 / 3) / 2, 10.0, 40 / 3)),
        ("tf_distorted_box", (0.01, 0.05), (0.0, 0.0, 10.0, 100.0)),
    ],
)
def test_fallback_if_no_box_fits(key, sampler, area, expected):
    """torchvision takes the largest central box, TensorFlow the whole image."""
    box = crop.sample_crop_box(
        key, height=10.0, width=100.0, area=area, sampler=sampler
    )
    np.testing.assert_allclose(
        [float(side) for side in box], expected, **helpers.TOLERANCE["image"]
    )


def test_traced_sides_match_numbers(key):
    drawn = functools.partial(crop.sample_crop_box, key)
    expected = drawn(height=37.0, width=50.0)
    sides = (jnp.float32(37.0), jnp.float32(50.0))
    got = jax.jit(lambda h, w: drawn(height=h, width=w))(*sides)
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])


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
    crop_all = augment.RandomResizedCrop(area=(1.0, 1.0), aspect=(1.0, 1.0), **options)
    got = crop_all(key, image)
    expected = jnp.clip(ops.resize(image, **options), 0.0, 1.0)
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
def test_a_flipped_crop_is_the_mirror_image_of_the_crop(key, rng, method, antialias):
    image = jnp.asarray(rng.random((17, 22, 3)), jnp.float32)
    options = {"size": (8, 10), "method": method, "antialias": antialias}
    box_key, _ = jax.random.split(key)
    plain = augment.RandomResizedCrop(**options)(box_key, image)
    always = augment.RandomResizedCrop(flip_probability=1.0, **options)(key, image)
    np.testing.assert_allclose(always, plain[:, ::-1], **helpers.TOLERANCE["image"])


def test_half_of_the_crops_are_flipped_whatever_the_box(key):
    """A ramp from left to right: the sign of its slope tells the flip."""
    ramp = jnp.broadcast_to(jnp.linspace(0.0, 1.0, 16)[None, :, None], (16, 16, 1))
    recipe = augment.RandomResizedCrop(size=4, flip_probability=0.5)
    keys = jax.random.split(key, 4000)
    out = np.asarray(jax.jit(jax.vmap(recipe, in_axes=(0, None)))(keys, ramp))
    flipped = out[:, 0, 0, 0] > out[:, 0, -1, 0]
    # Four standard deviations of a share of 4,000 draws.
    assert abs(flipped.mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)
    contrast = np.abs(out[:, 0, 0, 0] - out[:, 0, -1, 0])
    wide = contrast > np.median(contrast)
    assert abs(flipped[wide].mean() - 0.5) < 4 * 0.5 / np.sqrt(2000)


def test_bfloat16_reads_bytes_exactly(rng):
    """An unscaled crop has weights of zero and one: only its result is rounded."""
    stored = rng.integers(0, 256, (12, 14, 3), dtype=np.uint8)
    image = jnp.asarray(stored / 255.0, jnp.float32)
    box = crop.Box(*map(jnp.float32, (2.0, 3.0, 8.0, 9.0)))
    got = crop.resample_box(image, box, size=(8, 9), dtype="bfloat16")
    assert got.dtype == jnp.bfloat16
    expected = image[2:10, 3:12].astype(jnp.bfloat16)
    np.testing.assert_array_equal(got.astype(jnp.float32), expected.astype(jnp.float32))


def test_errors():
    for match, options in (
        (r"area must be a pair", {"area": (0.5, 2.0)}),
        (r"area must be a number > 0", {"area": (0.0, 1.0)}),
        (r"aspect must be a pair", {"aspect": (2.0, 1.0)}),
        (r"Unknown crop sampler 'tf'", {"sampler": "tf"}),
        (r"flip_probability must be in", {"flip_probability": 1.5}),
        (r"Unknown dtype 'float16'. Did you mean", {"dtype": "float16"}),
    ):
        with pytest.raises(ValueError, match=match):
            augment.RandomResizedCrop(size=4, **options)
