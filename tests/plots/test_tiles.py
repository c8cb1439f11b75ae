import jax
import numpy as np
import pytest

from simclr_jax import augment, plots
from simclr_jax.plots import tiles


@pytest.fixture(scope="module")
def images():
    return jax.random.uniform(jax.random.key(1), (3, 12, 12, 3))


def test_pictures_equal_the_views_of_training(key, images):
    recipe = augment.RandomResizedCrop(size=8, flip_probability=0.5)
    made = tiles.make_tiles(key, images, recipe)
    (views,) = augment.views(augment.sample_keys(key, 3), images, recipe)
    assert [len(row) for row in made] == [2, 2, 2]
    pictures = np.stack([[tile.picture for tile in row] for row in made])
    np.testing.assert_allclose(pictures, views, atol=1e-6)


def test_the_box_is_that_of_the_crop(key, images):
    (row,) = plots.make_tiles(key, images[:1], augment.RandomResizedCrop(size=8))
    for tile in row:
        top, left, height, width = tile.box
        assert 0 <= top <= top + height <= 12.001
        assert 0 <= left <= left + width <= 12.001
        assert f"crop {height:.0f} x {width:.0f}" in tile.caption


@pytest.mark.parametrize(
    ("channels", "options", "shown"),
    [
        (3, {}, {"brightness", "contrast"}),
        (3, {"saturation": 0.4}, {"brightness", "contrast", "saturation"}),
        (1, {"saturation": 0.4, "hue": 0.1}, {"brightness", "contrast"}),
    ],
)
def test_captions_name_what_has_an_effect(key, images, channels, options, shown):
    jitter = augment.ColorJitter(brightness=0.4, contrast=0.4, **options)
    (row,) = tiles.make_tiles(key, images[:1, :, :, :channels], jitter)
    for tile in row:
        names = {
            words.split()[0] for words in " ".join(tile.caption.split()).split(", ")
        }
        assert names == shown
        assert tile.box is None


def test_captions_state_the_applied_operations(key, images):
    chosen = augment.RandomApply(augment.RandomHorizontalFlip(probability=1.0), 0.5)
    made = tiles.make_tiles(key, images, (chosen,) * 8)
    for image, row in zip(images, made, strict=True):
        for tile in row:
            is_flipped = np.array_equal(tile.picture, image[:, ::-1])
            assert is_flipped != np.array_equal(tile.picture, image)
            assert ("flipped" in tile.caption) == is_flipped
