"""Recipes with one augmentation for each view: the numbers of their papers."""

import dataclasses

import pytest

from simclr_jax import augment
from simclr_jax.augment import recipes


def test_byol_has_the_numbers_of_table_6():
    first, second = recipes.byol()
    jitter = augment.ColorJitter(
        brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, family="v1"
    )
    crop = augment.RandomResizedCrop(
        size=224,
        area=(0.08, 1.0),
        sampler="tf_distorted_box",
        method="bicubic",
        antialias=False,
        flip_probability=0.5,
    )
    common = (crop, augment.RandomApply(jitter, 0.8), augment.RandomGrayscale())
    assert first.stages == (*common, augment.RandomGaussianBlur(probability=1.0))
    assert second.stages == (
        *common,
        augment.RandomGaussianBlur(probability=0.1),
        augment.RandomSolarize(probability=0.2),
    )


def test_moco_v3_is_byol_with_the_crop_and_the_brightness_of_torchvision():
    for ours, theirs in zip(recipes.moco_v3(), recipes.byol(), strict=True):
        assert ours.stages[0] == dataclasses.replace(
            theirs.stages[0],
            area=(0.2, 1.0),
            sampler="uniform_area",
            method="bilinear",
            antialias=True,
        )
        assert ours.stages[1].augmentation.family == "v2"
        assert ours.stages[2:] == theirs.stages[2:]


def test_swav_has_two_large_and_six_small_views():
    recipe = recipes.swav()
    assert len(recipe) == 8
    assert recipe[0] == recipe[1]
    assert len(set(recipe)) == 2
    large, small = recipe[0], recipe[-1]
    assert (large.stages[0].area, large.stages[0].size) == ((0.14, 1.0), (224, 224))
    assert (small.stages[0].area, small.stages[0].size) == ((0.05, 0.14), (96, 96))
    assert large.stages[1:] == small.stages[1:]
    jitter = augment.ColorJitter(
        brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, family="v2"
    )
    assert large.stages[1:] == (
        augment.RandomApply(jitter, 0.8),
        augment.RandomGrayscale(probability=0.2),
        augment.RandomGaussianBlur(probability=0.5),
    )


def test_strength_scales_the_jitter():
    for recipe in (recipes.byol(strength=0.5), recipes.moco_v3(strength=0.5)):
        jitter = recipe[0].stages[1].augmentation
        assert (jitter.brightness, jitter.contrast, jitter.hue) == (0.2, 0.2, 0.05)


def test_errors():
    with pytest.raises(ValueError, match=r"one entry for each kind.*counts=\(2,\)"):
        recipes.swav(counts=(2,))
