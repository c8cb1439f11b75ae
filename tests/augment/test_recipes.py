"""Recipes: their stages, shapes, range, and equality as static arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from simclr_jax import augment
from simclr_jax.augment import recipes
from tests import helpers

BUILDS = [
    ("mnist", {}, (28, 28, 1), (24, 24, 1)),
    ("simclr", {"size": 32}, (40, 48, 3), (32, 32, 3)),
    (
        "simclr",
        {"size": 20, "brightness_mode": "additive", "sampler": "tensorflow"},
        (24, 24, 1),
        (20, 20, 1),
    ),
    ("simclr_cifar", {}, (32, 32, 3), (32, 32, 3)),
    ("evaluation", {"size": 24, "fit": "crop"}, (28, 28, 1), (24, 24, 1)),
    ("evaluation", {"size": 24}, (28, 40, 3), (24, 24, 3)),
]


@pytest.mark.parametrize(("name", "options", "shape", "expected"), BUILDS)
def test_shape_and_range(key, rng, name, options, shape, expected):
    recipe = augment.build(name, **options)
    # Black and white pixels make every overshoot visible.
    images = jnp.asarray(rng.integers(0, 2, (8, *shape)) * 255, jnp.uint8)
    for view in jax.jit(augment.two_views, static_argnums=2)(key, images, recipe):
        assert view.shape == (8, *expected)
        assert view.dtype == jnp.float32
        assert float(jnp.min(view)) >= 0.0
        assert float(jnp.max(view)) <= 1.0


@pytest.mark.parametrize("name", sorted(recipes.RECIPES))
def test_equal_builds_are_equal_and_share_a_compilation(name):
    one, two = augment.build(name, size=24), augment.build(name, size=24)
    assert one == two
    assert hash(one) == hash(two)
    assert one != augment.build(name, size=20)
    traces = []

    def use(recipe, x):
        traces.append(recipe)
        return x

    use = jax.jit(use, static_argnums=0)
    use(one, 1.0), use(two, 1.0)
    assert len(traces) == 1


def test_simclr_stages_are_those_of_the_paper():
    assert repr(augment.simclr()).split(" > ") == [
        "random_resized_crop(antialias=False, area=(0.08, 1.0), method='bicubic', "
        "sampler='uniform_area', size=224)",
        "random_horizontal_flip()",
        "color_jitter(brightness=0.8, brightness_mode='multiplicative', contrast=0.8, "
        "hue=0.2, order='random', saturation=0.8) with p = 0.8",
        "random_grayscale(probability=0.2)",
        "gaussian_blur(probability=0.5)",
    ]
    assert len(augment.simclr_cifar().stages) == 4


def test_constant_gray_image_stays_constant(key):
    """No operation may draw borders: neither the crop nor the blur."""
    image = jnp.full((1, 28, 28, 3), 0.5)
    recipe = augment.simclr(size=24)
    for view in jax.jit(augment.two_views, static_argnums=2)(key, image, recipe):
        spread = jnp.max(view) - jnp.min(view)
        assert float(spread) < helpers.TOLERANCE["image"]["atol"]


def test_evaluation_returns_an_image_of_the_size_as_it_is(key, rng):
    image = jnp.asarray(rng.random((32, 32, 3)), jnp.float32)
    for fit in ("proportion", "crop", "resize"):
        got = augment.evaluation(size=32, fit=fit)(key, image)
        np.testing.assert_array_equal(got, image)


def test_evaluation_ignores_the_key(key, rng):
    image = jnp.asarray(rng.random((40, 40, 3)), jnp.float32)
    recipe = augment.evaluation(size=24)
    np.testing.assert_array_equal(recipe(key, image), recipe(jax.random.key(9), image))


def test_evaluation_resize_matches_pillow(key, rng):
    image = rng.random((28, 28), dtype=np.float32)
    expected = Image.fromarray(image).resize((24, 24), Image.Resampling.BICUBIC)
    recipe = augment.evaluation(size=24, fit="resize", antialias=True)
    got = recipe(key, jnp.asarray(image)[..., None])
    np.testing.assert_allclose(
        got[..., 0], np.clip(expected, 0, 1), **helpers.TOLERANCE["image"]
    )


def test_errors():
    with pytest.raises(ValueError, match=r"recipe 'simlcr'. Did you mean 'simclr'"):
        augment.build("simlcr")
    with pytest.raises(ValueError, match=r"option of recipe 'mnist' 'sise'.*'size'"):
        augment.build("mnist", sise=24)
    with pytest.raises(ValueError, match=r"fit must be .* got 'middle'"):
        augment.evaluation(fit="middle")
