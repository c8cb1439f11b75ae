"""Transforms: sampled parameters, composition, equality, reports."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import augment
from simclr_jax.augment import ops
from simclr_jax.augment.ops import jitter
from tests import helpers
from tests.augment import samples


def add_noise(key, image, *, scale=1.0):
    return image + scale * jax.random.uniform(key, image.shape)


def cut(key, image):
    return image[:1]


def test_chain_splits_the_key_once(key):
    image = jnp.zeros((2, 2, 1))
    first, second = jax.random.split(key)
    expected = add_noise(second, add_noise(first, image))
    got = augment.Chain((add_noise, add_noise))(key, image)
    np.testing.assert_array_equal(got, expected)


def test_empty_chain_returns_the_image(key):
    image = jnp.ones((2, 2, 1))
    np.testing.assert_array_equal(augment.Chain(())(key, image), image)


def test_random_apply_applies_to_the_given_share(key):
    image = jnp.zeros((1, 1, 1))
    keys = jax.random.split(key, 4000)
    some = augment.RandomApply(add_noise, 0.3)
    out = jax.vmap(some, in_axes=(0, None))(keys, image)
    share = float(jnp.mean(out > 0.0, dtype=jnp.float32))
    # Four standard deviations of a share of 4,000 draws.
    assert abs(share - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 4000)


def test_bound_options_become_hashable_and_print():
    bound = augment.bind(add_noise, scale=[1.0, 2.0])
    same = augment.bind(add_noise, scale=(1.0, 2.0))
    assert bound == same
    assert hash(bound) == hash(same)
    assert repr(bound) == "add_noise(scale=(1.0, 2.0))"


def test_equal_compositions_are_equal_and_print():
    flip = augment.RandomHorizontalFlip()
    one, two = (
        augment.Chain((flip, augment.RandomApply(add_noise, 0.5))) for _ in range(2)
    )
    assert one == two
    assert hash(one) == hash(two)
    assert repr(one) == (
        "Chain(stages=(RandomHorizontalFlip(probability=0.5), "
        "RandomApply(augmentation=add_noise(), probability=0.5)))"
    )


def test_chain_samples_each_stage_for_the_size_of_its_input(key, rng):
    image = jnp.asarray(rng.random((12, 20, 1)), jnp.float32)
    crop = augment.RandomResizedCrop(size=(8, 6), area=(1.0, 1.0), aspect=(0.1, 10.0))
    _, second = augment.Chain((crop, crop)).sample(key, image)
    assert float(second.crop_height) <= 8.0 + 1e-5
    assert float(second.crop_width) <= 6.0 + 1e-5


def test_a_call_applies_the_sampled_parameters(key, rng):
    image = jnp.asarray(rng.random((28, 33, 3)), jnp.float32)
    for augmentation in augment.members(samples.small("byol")):

        @functools.partial(jax.jit, compiler_options=samples.FAST_TO_COMPILE)
        def both(key, image, augmentation=augmentation):
            params = augmentation.sample(key, image)
            return augmentation.apply(params, image), augmentation(key, image)

        np.testing.assert_array_equal(*both(key, image))


def report(key, image, augmentation):
    transform = augment.as_transform(augmentation)
    return transform.report(transform.sample(key, image))


MODES = {"v1": "additive", "v2": "multiplicative"}
ADJUSTERS = {
    "contrast": lambda image, amount: ops.adjust_contrast(image, factor=amount),
    "saturation": lambda image, amount: ops.adjust_saturation(image, factor=amount),
    "hue": lambda image, amount: ops.adjust_hue(image, delta=amount),
}


def repeat_by_hand(image, named, family, options):
    """Makes the view from reported parameters with the deterministic functions."""
    box = ops.Box(
        *(named[f"crop_{side}"] for side in ("top", "left", "height", "width"))
    )
    image = jnp.clip(ops.resample_box(image, box, **options), 0.0, 1.0)
    if named["flipped"]:
        image = image[:, ::-1]
    if named.get("jitter_applied", 0.0):
        for name in jitter.ORDERS[int(named["jitter_order"])]:
            if name == "brightness":
                image = ops.adjust_brightness(
                    image, amount=named[name], mode=MODES[family]
                )
            else:
                image = ADJUSTERS[name](image, named[name])
    if named.get("grayscale", 0.0):
        image = ops.to_grayscale(image)
    if named.get("blurred", 0.0):
        image = jnp.clip(ops.gaussian_blur(image, sigma=named["blur_sigma"]), 0.0, 1.0)
    if named.get("solarized", 0.0):
        image = ops.solarize(image)
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
def test_reported_parameters_reproduce_the_view(rng, name, family, method, antialias):
    image = jnp.asarray(rng.random((28, 33, 3)), jnp.float32)
    augmentation = augment.members(samples.small(name))[-1]
    size = samples.SMALL[name]["size"]
    options = {"size": size, "method": method, "antialias": antialias}

    @functools.partial(jax.jit, compiler_options=samples.FAST_TO_COMPILE)
    def both(key):
        named = report(key, image, augmentation)
        return named, augmentation(key, image)

    for seed in range(4):
        named, view = both(jax.random.key(seed))
        expected = repeat_by_hand(image, named, family, options)
        np.testing.assert_allclose(view, expected, **helpers.TOLERANCE["image"])


def test_reported_names_are_in_the_order_of_the_stages(key, rng):
    image = jnp.asarray(rng.random((28, 33, 3)), jnp.float32)
    named = report(key, image, samples.small("byol")[1])
    assert list(named) == [
        *("crop_top", "crop_left", "crop_height", "crop_width", "flipped"),
        *("jitter_applied", "brightness", "contrast", "saturation", "hue"),
        *("jitter_order", "grayscale", "blur_sigma", "blurred", "solarized"),
    ]
    for value in named.values():
        assert value.dtype == jnp.float32
        assert value.shape == ()


def test_parameters_of_a_padded_image_are_those_of_the_image(key, rng):
    image = rng.random((28, 33, 3)).astype(np.float32)
    augmentation = samples.small("simclr_v2")
    alone = report(key, jnp.asarray(image), augmentation)
    padded = samples.pad(rng, image, 40, 40)
    for name, value in report(key, padded, augmentation).items():
        np.testing.assert_allclose(value, alone[name], **helpers.TOLERANCE["image"])


def test_repeated_stages_get_numbers(key):
    flip = augment.RandomHorizontalFlip(probability=1.0)
    chain = augment.Chain((flip, flip, augment.RandomHorizontalFlip()))
    named = report(key, jnp.zeros((4, 4, 1)), chain)
    assert list(named) == ["flipped", "flipped_2", "flipped_3"]
    assert float(named["flipped"]) == float(named["flipped_2"]) == 1.0


def test_plain_functions_report_nothing_but_whether_they_are_applied(key):
    def invert(key, image):
        return 1.0 - image

    crop, image = augment.RandomResizedCrop(size=4), jnp.zeros((8, 8, 1))
    assert report(key, image, invert) == {}
    assert len(report(key, image, augment.Chain((crop, invert)))) == 5
    maybe = augment.RandomApply(invert, 0.5)
    assert list(report(key, image, maybe)) == ["invert_applied"]
    assert report(key, image, augment.evaluation(size=8)) == {}


def test_own_transform_reports_its_parameters(key):
    class NoiseParams(NamedTuple):
        noise: jax.Array

    @dataclasses.dataclass(frozen=True)
    class AddNoise(augment.Transform):
        label = "noise"
        scale: float = 0.5

        def sample(self, key, image):
            return NoiseParams(self.scale * jax.random.normal(key))

        def apply(self, params, image):
            return image + params.noise

    image = jnp.zeros((1, 1, 1))
    for transform in (AddNoise(), AddNoise(scale=2.0)):
        named = report(key, image, transform)
        np.testing.assert_array_equal(named["noise"], transform(key, image)[0, 0, 0])
    maybe = augment.RandomApply(AddNoise(), 0.5)
    assert list(report(key, image, maybe)) == ["noise_applied", "noise"]


def test_errors(key):
    with pytest.raises(ValueError, match=r"option of add_noise 'sacle'.*mean 'scale'"):
        augment.bind(add_noise, sacle=2.0)
    with pytest.raises(ValueError, match=r"probability must be in"):
        augment.RandomApply(add_noise, 1.2)
    with pytest.raises(ValueError, match=r"keeps the shape; cut"):
        augment.RandomApply(cut, 0.5)(key, jnp.zeros((2, 2, 1)))
