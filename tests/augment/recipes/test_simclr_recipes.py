"""SimCLR's recipes: the stages and the numbers of the paper and of the code."""

import pytest

from simclr_jax import augment
from simclr_jax.augment import recipes

GRAY = augment.RandomGrayscale(probability=0.2)
BLUR = augment.RandomGaussianBlur(probability=0.5)


def crop(size):
    return augment.RandomResizedCrop(
        size=size,
        area=(0.08, 1.0),
        sampler="tf_distorted_box",
        method="bicubic",
        antialias=False,
        flip_probability=0.5,
    )


def jitter(amount, hue, family):
    strengths = {"brightness": amount, "contrast": amount, "saturation": amount}
    jittering = augment.ColorJitter(hue=hue, family=family, **strengths)
    return augment.RandomApply(jittering, 0.8)


@pytest.mark.parametrize("family", ["v1", "v2"])
def test_imagenet_stages_are_those_of_the_paper_and_of_the_code(family):
    recipe = {"v1": recipes.simclr_v1, "v2": recipes.simclr_v2}[family]()
    assert recipe.stages == (crop(224), jitter(0.8, 0.2, family), GRAY, BLUR)


def test_cifar_has_half_the_strength_and_no_blur():
    stages = (crop(32), jitter(0.4, 0.1, "v2"), GRAY)
    assert recipes.simclr_cifar().stages == stages
    assert recipes.simclr_cifar(family="v1").stages[1] == jitter(0.4, 0.1, "v1")


def test_options_reach_their_stages():
    recipe = recipes.simclr_v2(
        size=96,
        strength=0.5,
        area=(0.2, 1.0),
        sampler="uniform_area",
        order="fixed",
        grayscale_probability=0.1,
        blur_probability=0.3,
        parity=True,
        dtype="bfloat16",
    )
    cropping, jittering, gray, blur = recipe.stages
    assert (cropping.size, cropping.area) == ((96, 96), (0.2, 1.0))
    assert (cropping.sampler, cropping.dtype) == ("uniform_area", "bfloat16")
    assert jittering.augmentation.brightness == 0.4
    assert jittering.augmentation.order == "fixed"
    assert gray == augment.RandomGrayscale(probability=0.1)
    assert blur == augment.RandomGaussianBlur(parity=True, probability=0.3)
    assert len(recipes.simclr_v1(blur_probability=0.0).stages) == 3
