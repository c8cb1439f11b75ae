"""Every recipe by name: shape, range, dtype, equality, errors, and digests."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import augment
from simclr_jax.augment import recipes
from tests import helpers
from tests.augment import samples

# Other tests register recipes of their own.
NAMES = sorted(
    name
    for name, builder in augment.RECIPES.items()
    if builder.__module__.startswith("simclr_jax.")
)


def sizes_of(name):
    options = samples.SMALL[name]
    if name == "swav":
        return list(zip(options["counts"], options["sizes"], strict=True))
    return [(2, options["size"])]


def test_the_samples_name_every_recipe():
    assert sorted(samples.SMALL) == NAMES


def assert_shape_and_range(made, name, channels):
    for view, (count, size) in zip(made, sizes_of(name), strict=True):
        assert view.shape == (8, count, size, size, channels)
        assert view.dtype == jnp.float32
        assert float(jnp.min(view)) >= 0.0
        assert float(jnp.max(view)) <= 1.0


@pytest.mark.parametrize("name", NAMES)
def test_shape_range_and_dtype(key, rng, name):
    # Black and white pixels make every overshoot visible.
    images = jnp.asarray(rng.integers(0, 2, samples.IMAGES) * 255, jnp.uint8)
    made = samples.views(samples.keys(key), images, samples.small(name))
    assert_shape_and_range(made, name, 3)


@pytest.mark.parametrize("name", ["evaluation", "mnist", "byol"])
def test_images_of_one_channel_keep_one(key, rng, name):
    images = jnp.asarray(rng.integers(0, 2, (8, 24, 24, 1)) * 255, jnp.uint8)
    made = samples.views(samples.keys(key), images, samples.small(name))
    assert_shape_and_range(made, name, 1)


# The others are made of the same operations.
@pytest.mark.parametrize("name", ["byol", "mnist", "simclr_v2", "supervised", "swav"])
def test_bfloat16_views_are_near_the_float32_views(key, rng, name):
    images = jnp.asarray(rng.integers(0, 256, samples.IMAGES, dtype=np.uint8))
    full = samples.views(samples.keys(key), images, samples.small(name))
    half = samples.views(
        samples.keys(key), images, samples.small(name, dtype="bfloat16")
    )
    for got, expected in zip(half, full, strict=True):
        assert got.dtype == jnp.bfloat16
        difference = np.asarray(got.astype(jnp.float32)) - np.asarray(expected)
        np.testing.assert_allclose(
            difference, 0.0, **helpers.TOLERANCE["bfloat16_view"]
        )
        # The roundings have no direction: on average less than half of one of 2^-9.
        assert abs(difference.mean()) < 2.0**-10


@pytest.mark.parametrize("name", NAMES)
def test_equal_builds_are_equal_and_share_a_compilation(name):
    one, two = samples.small(name), samples.small(name)
    assert one == two
    assert hash(one) == hash(two)
    assert one != augment.build(name)
    traces = []

    def use(recipe, x):
        traces.append(recipe)
        return x

    use = jax.jit(use, static_argnums=0)
    use(one, 1.0), use(two, 1.0)
    assert len(traces) == 1


@pytest.mark.parametrize("name", samples.RANDOM)
def test_constant_gray_image_stays_constant(key, name):
    """Neither the crop nor the blur may produce borders."""
    images = jnp.full(samples.IMAGES, 128, jnp.uint8)
    for view in samples.views(samples.keys(key), images, samples.small(name)):
        spread = jnp.max(view, axis=(2, 3)) - jnp.min(view, axis=(2, 3))
        assert float(jnp.max(spread)) < helpers.TOLERANCE["image"]["atol"]


CHECKSUMS = {
    "byol": ((0.518981, -3.6e-05),),
    "evaluation": ((0.49987, -0.001822),),
    "mnist": ((0.460554, 0.000626),),
    "moco_v3": ((0.509031, 0.000323),),
    "simclr_cifar": ((0.520422, 0.001358),),
    "simclr_v1": ((0.552783, -1.4e-05),),
    "simclr_v2": ((0.539414, 0.000133),),
    "supervised": ((0.502202, 0.000236),),
    "swav": ((0.534935, 0.000288), (0.454494, 0.000192)),
}
"""Mean and weighted mean of the views of each size, measured in version 0.1.0."""


@pytest.mark.parametrize("name", NAMES)
def test_views_are_those_of_earlier_versions(name):
    """The keys, the distributions and the order of the stages have not changed."""
    images = np.random.default_rng(7).integers(0, 256, samples.IMAGES, dtype=np.uint8)
    keys = samples.keys(jax.random.key(3))
    made = samples.views(keys, jnp.asarray(images), samples.small(name))
    for view, expected in zip(made, CHECKSUMS[name], strict=True):
        view = np.asarray(view, np.float64)
        weights = np.cos(np.arange(view.size)).reshape(view.shape)
        got = (view.mean(), (view * weights).mean())
        np.testing.assert_allclose(got, expected, rtol=0.0, atol=2e-6)


def test_lists_are_converted_to_tuples():
    lists = {"sizes": [20, 12], "counts": [2, 3], "areas": [[0.2, 1.0], [0.1, 0.2]]}
    recipe = augment.build("swav", **lists)
    assert recipe == recipes.swav(
        sizes=(20, 12), counts=(2, 3), areas=((0.2, 1.0), (0.1, 0.2))
    )
    assert hash(recipe) is not None


def test_errors():
    with pytest.raises(ValueError, match=r"recipe 'simlcr_v1'. Did you mean 'simclr_v"):
        augment.build("simlcr_v1")
    with pytest.raises(
        ValueError, match=r"option of augmentation recipe 'mnist': 'sise'.*'size'"
    ):
        augment.build("mnist", sise=24)
