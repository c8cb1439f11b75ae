"""What operations say of themselves: the numbers they draw are the numbers they use."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import augment
from simclr_jax.augment import jitter, operation
from tests import helpers
from tests.augment import samples

MODES = {"v1": "additive", "v2": "multiplicative"}
ADJUSTERS = {
    "contrast": lambda image, amount: augment.adjust_contrast(image, factor=amount),
    "saturation": lambda image, amount: augment.adjust_saturation(image, factor=amount),
    "hue": lambda image, amount: augment.adjust_hue(image, delta=amount),
}


def repeat_by_hand(image, drawn, family, options):
    """Makes the view again from the reported numbers and deterministic operations."""
    box = augment.Box(
        *(drawn[f"crop_{side}"] for side in ("top", "left", "height", "width"))
    )
    image = jnp.clip(augment.resample_box(image, box, **options), 0.0, 1.0)
    if drawn["flipped"]:
        image = image[:, ::-1]
    if drawn.get("jitter_applied", 0.0):
        for name in jitter.ORDERS[int(drawn["jitter_order"])]:
            if name == "brightness":
                image = augment.adjust_brightness(
                    image, amount=drawn[name], mode=MODES[family]
                )
            else:
                image = ADJUSTERS[name](image, drawn[name])
    if drawn.get("grayscale", 0.0):
        image = augment.to_grayscale(image)
    if drawn.get("blurred", 0.0):
        image = jnp.clip(augment.blur(image, sigma=drawn["blur_sigma"]), 0.0, 1.0)
    if drawn.get("solarized", 0.0):
        image = augment.solarize(image)
    return image


@pytest.mark.parametrize(
    ("name", "family", "method", "antialias"),
    [
        ("byol", "v1", "bicubic", False),
        ("moco_v3", "v2", "bilinear", True),
        ("simclr_v1", "v1", "bicubic", False),
        ("simclr_v2", "v2", "bicubic", False),
        ("supervised", "v2", "bicubic", False),
    ],
)
def test_a_view_can_be_made_again_from_its_parameters(
    rng, name, family, method, antialias
):
    image = jnp.asarray(rng.random((28, 33, 3)), jnp.float32)
    augmentation = augment.members(samples.small(name))[-1]
    size = samples.SMALL[name]["size"]
    options = {"size": size, "method": method, "antialias": antialias}

    @functools.partial(jax.jit, compiler_options=samples.FAST_TO_COMPILE)
    def both(key):
        drawn = augment.drawn_parameters(key, image, augmentation)
        return drawn, augmentation(key, image)

    for seed in range(6):
        drawn, view = both(jax.random.key(seed))
        expected = repeat_by_hand(image, drawn, family, options)
        np.testing.assert_allclose(view, expected, **helpers.TOLERANCE["image"])


def test_the_names_are_those_of_the_stages_in_order(key, rng):
    image = jnp.asarray(rng.random((28, 33, 3)), jnp.float32)
    drawn = augment.drawn_parameters(key, image, samples.small("byol")[1])
    assert list(drawn) == [
        *("crop_top", "crop_left", "crop_height", "crop_width", "flipped"),
        *("jitter_applied", "brightness", "contrast", "saturation", "hue"),
        *("jitter_order", "grayscale", "blur_sigma", "blurred", "solarized"),
    ]
    for value in drawn.values():
        assert value.dtype == jnp.float32
        assert value.shape == ()


def test_parameters_of_a_canvas_are_those_of_the_image(key, rng):
    image = rng.random((28, 33, 3)).astype(np.float32)
    augmentation = samples.small("simclr_v2")
    alone = augment.drawn_parameters(key, jnp.asarray(image), augmentation)
    canvas = samples.on_canvas(rng, image, 40, 40)
    for name, value in augment.drawn_parameters(key, canvas, augmentation).items():
        np.testing.assert_allclose(value, alone[name], **helpers.TOLERANCE["image"])


def test_repeated_stages_get_numbers(key):
    flip = augment.bind(augment.random_horizontal_flip, probability=1.0)
    chain = augment.chain(flip, flip, augment.random_horizontal_flip)
    drawn = augment.drawn_parameters(key, jnp.zeros((4, 4, 1)), chain)
    assert list(drawn) == ["flipped", "flipped_2", "flipped_3"]
    assert float(drawn["flipped"]) == float(drawn["flipped_2"]) == 1.0
    again = augment.random_horizontal_flip(
        jax.random.split(key, 3)[2], jnp.asarray([[[0.0], [1.0]]])
    )
    assert float(drawn["flipped_3"]) == float(again[0, 0, 0])


def test_a_function_without_a_mark_adds_nothing(key):
    def invert(key, image):
        return 1.0 - image

    crop = augment.bind(augment.random_resized_crop, size=4)
    image = jnp.zeros((8, 8, 1))
    assert augment.drawn_parameters(key, image, invert) == {}
    assert len(augment.drawn_parameters(key, image, augment.chain(crop, invert))) == 5
    maybe = augment.with_probability(invert, 0.5)
    assert list(augment.drawn_parameters(key, image, maybe)) == ["invert_applied"]
    assert augment.drawn_parameters(key, image, augment.evaluation(size=8)) == {}


def test_a_function_of_ones_own_can_be_marked(key):
    class Drawn(NamedTuple):
        noise: jax.Array

    def draw(key, image, *, scale):
        return Drawn(scale * jax.random.normal(key))

    @augment.draws(draw, label="noise")
    def add_noise(key, image, *, scale=0.5):
        return image + draw(key, image, scale=scale).noise

    image = jnp.zeros((1, 1, 1))
    assert operation.label_of(add_noise) == "noise"
    for augmentation in (add_noise, augment.bind(add_noise, scale=2.0)):
        drawn = augment.drawn_parameters(key, image, augmentation)
        np.testing.assert_array_equal(drawn["noise"], augmentation(key, image)[0, 0, 0])
