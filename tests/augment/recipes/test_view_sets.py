"""Recipes whose views differ: the numbers of their papers."""

import pytest

from simclr_jax import augment


def test_byol_has_the_numbers_of_table_6():
    first, second = augment.byol()
    for view in (first, second):
        crop, jitter, gray = (repr(stage) for stage in view.stages[:3])
        assert "area=(0.08, 1.0)" in crop
        assert "method='bicubic', sampler='tf_distorted_box', size=224" in crop
        assert "flip_probability=0.5" in crop
        assert jitter == (
            "color_jitter(brightness=0.4, contrast=0.4, family='v1', hue=0.1, "
            "order='random', saturation=0.2) with p = 0.8"
        )
        assert gray == "random_grayscale(probability=0.2)"
    assert [repr(stage) for stage in first.stages[3:]] == [
        "gaussian_blur(parity=False, probability=1.0)"
    ]
    assert [repr(stage) for stage in second.stages[3:]] == [
        "gaussian_blur(parity=False, probability=0.1)",
        "random_solarize(probability=0.2)",
    ]


def test_moco_v3_is_byol_with_the_crop_and_the_brightness_of_torchvision():
    for ours, theirs in zip(augment.moco_v3(), augment.byol(), strict=True):
        crop = repr(ours.stages[0])
        assert "antialias=True, area=(0.2, 1.0)" in crop
        assert "method='bilinear', sampler='uniform_area'" in crop
        assert "family='v2'" in repr(ours.stages[1])
        assert ours.stages[2:] == theirs.stages[2:]


def test_swav_has_two_large_and_six_small_views():
    recipe = augment.swav()
    assert len(recipe) == 8
    assert recipe[0] == recipe[1]
    assert len(set(recipe)) == 2
    large, small = recipe[0], recipe[-1]
    assert "area=(0.14, 1.0)" in repr(large)
    assert "size=224" in repr(large)
    assert "area=(0.05, 0.14)" in repr(small)
    assert "size=96" in repr(small)
    assert large.stages[1:] == small.stages[1:]
    assert [repr(stage) for stage in large.stages[1:]] == [
        "color_jitter(brightness=0.8, contrast=0.8, family='v2', hue=0.2, "
        "order='random', saturation=0.8) with p = 0.8",
        "random_grayscale(probability=0.2)",
        "gaussian_blur(parity=False, probability=0.5)",
    ]


def test_strength_scales_the_jitter():
    for recipe in (augment.byol(strength=0.5), augment.moco_v3(strength=0.5)):
        assert "brightness=0.2, contrast=0.2" in repr(recipe[0])
        assert "hue=0.05" in repr(recipe[0])


def test_errors():
    with pytest.raises(ValueError, match=r"one entry for each kind.*counts=\(2,\)"):
        augment.swav(counts=(2,))
