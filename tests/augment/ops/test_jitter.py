"""The jitter against the four operations applied one after the other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import augment
from simclr_jax.augment import ops
from simclr_jax.augment.ops import jitter
from tests import helpers

NAMES = ("brightness", "contrast", "saturation", "hue")
STRENGTHS = {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2}

OPERATIONS = {
    "additive": jax.jit(
        lambda image, amount: ops.adjust_brightness(
            image, amount=amount, mode="additive"
        )
    ),
    "multiplicative": jax.jit(
        lambda image, amount: ops.adjust_brightness(image, amount=1.0 + amount)
    ),
    "contrast": jax.jit(
        lambda image, amount: ops.adjust_contrast(image, factor=1.0 + amount)
    ),
    "saturation": jax.jit(
        lambda image, amount: ops.adjust_saturation(image, factor=1.0 + amount)
    ),
    "hue": jax.jit(lambda image, amount: ops.adjust_hue(image, delta=amount)),
}


def one_by_one(image, order, draws, family):
    """Applies the deterministic operations in the given order."""
    for name in order:
        amount = STRENGTHS[name] * draws[NAMES.index(name)]
        mode = jitter.FAMILIES[family]
        image = OPERATIONS[mode if name == "brightness" else name](image, amount)
    return image


def draws_of(key):
    """The four numbers in [-1, 1] that the jitter draws from its key."""
    _, amount_key = jax.random.split(key)
    draws = jax.random.uniform(amount_key, (4,), minval=-1.0)
    return [float(draw) for draw in draws]


@pytest.mark.parametrize("family", ["v1", "v2"])
def test_every_order_matches_one_by_one(key, rng, family):
    image = jnp.asarray(rng.random((6, 5, 3)), jnp.float32)
    draws = draws_of(key)
    transform = augment.ColorJitter(family=family, **STRENGTHS)

    @jax.jit
    def jittered(index):
        params = transform.sample(key, image)._replace(jitter_order=index)
        return transform.apply(params, image)

    for index, order in enumerate(jitter.ORDERS):
        expected = one_by_one(image, order, draws, family)
        np.testing.assert_allclose(
            jittered(jnp.int32(index)), expected, **helpers.TOLERANCE["image"]
        )


def test_fixed_order_is_the_order_of_the_arguments(key, rng):
    image = jnp.asarray(rng.random((6, 5, 3)), jnp.float32)
    got = augment.ColorJitter(order="fixed", **STRENGTHS)(key, image)
    expected = one_by_one(image, NAMES, draws_of(key), "v2")
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])


def test_every_order_is_equally_likely(key):
    def draw(sample_key):
        transform = augment.ColorJitter(**STRENGTHS)
        return transform.sample(sample_key, jnp.zeros((1, 1, 3))).jitter_order

    number = 24_000
    drawn = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(key, number)))
    counts = np.bincount(drawn, minlength=24)
    # Five standard deviations of each count.
    assert np.all(np.abs(counts - number / 24) < 5 * np.sqrt(number / 24))


def factors(key, amount, number=20_000):
    """Draws of the three factors, shape [3 number]."""
    options = {"brightness": amount, "contrast": amount, "saturation": amount}

    def draw(sample_key):
        image = jnp.zeros((1, 1, 3))
        drawn = augment.ColorJitter(**options).sample(sample_key, image)
        return jnp.stack([drawn.brightness, drawn.contrast, drawn.saturation])

    return np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(key, number))).T


@pytest.mark.parametrize("amount", [0.4, 1.0, 1.2, 3.0])
def test_factors_are_uniform_between_the_documented_bounds(key, amount):
    low, high = max(0.0, 1.0 - amount), 1.0 + amount
    for drawn in factors(key, amount):
        assert low <= drawn.min() and drawn.max() <= high
        # Kolmogorov and Smirnov's distance; exceeded by chance once in 10^6 times.
        places = (np.sort(drawn) - low) / (high - low)
        distance = np.abs(places - (np.arange(len(drawn)) + 0.5) / len(drawn)).max()
        assert distance < 2.7 / np.sqrt(len(drawn))


@pytest.mark.parametrize("amount", [0.0, 0.4, 1.0])
def test_amounts_up_to_one_keep_their_bits(key, amount):
    def before(sample_key):
        _, amount_key = jax.random.split(sample_key)
        draws = jax.random.uniform(amount_key, (4,), minval=-1.0)
        return jnp.maximum(0.0, 1.0 + amount * draws[:3])

    expected = jax.jit(jax.vmap(before))(jax.random.split(key, 20_000))
    np.testing.assert_array_equal(factors(key, amount), expected.T)


def test_slots_match_the_orders():
    assert len(set(jitter.ORDERS)) == 24
    for order, row in zip(jitter.ORDERS, jitter.slot_table(), strict=True):
        levels = [name for name in order if name in ("brightness", "contrast")]
        assert (row[0] == 1) == (levels[0] == "contrast")
        for name, slot in zip(("saturation", "hue"), row[1:], strict=True):
            before = order[: order.index(name)]
            assert slot == sum(level in before for level in levels)


def test_one_channel_skips_saturation_and_hue(key, rng):
    image = jnp.asarray(rng.random((6, 5, 1)), jnp.float32)
    got = augment.ColorJitter(order="fixed", **STRENGTHS)(key, image)
    expected = one_by_one(image, NAMES[:2], draws_of(key), "v2")
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])


def test_zero_strength_keeps_the_image(key, rng):
    image = jnp.asarray(rng.random((6, 5, 3)), jnp.float32)
    got = augment.ColorJitter(brightness=0.0, contrast=0.0)(key, image)
    np.testing.assert_allclose(got, image, **helpers.TOLERANCE["image"])


@pytest.mark.parametrize(
    ("operation", "share"),
    [(augment.RandomGrayscale(), 0.2), (augment.RandomSolarize(), 0.2)],
)
def test_share_of_changed_images(key, operation, share):
    image = jnp.asarray([[[0.9, 0.1, 0.2]]])
    keys = jax.random.split(key, 4000)
    out = jax.jit(jax.vmap(operation, in_axes=(0, None)))(keys, image)
    changed = jnp.mean(jnp.any(out != image[None], axis=(1, 2, 3)), dtype=jnp.float32)
    # Four standard deviations of a share of 4,000 draws.
    assert abs(float(changed) - share) < 4 * np.sqrt(share * (1 - share) / 4000)


def test_v1_adds_to_the_brightness_and_v2_multiplies(key):
    black = jnp.zeros((2, 2, 1))
    draw = draws_of(key)[0]
    options = {"brightness": 0.4, "contrast": 0.0, "order": "fixed"}
    added = augment.ColorJitter(family="v1", **options)(key, black)
    np.testing.assert_allclose(
        added, np.full((2, 2, 1), max(0.0, 0.4 * draw)), **helpers.TOLERANCE["image"]
    )
    half = augment.ColorJitter(family="v2", **options)(key, black + 0.5)
    np.testing.assert_allclose(
        half, np.full((2, 2, 1), 0.5 + 0.2 * draw), **helpers.TOLERANCE["image"]
    )


@pytest.mark.parametrize("order", ["random", "fixed"])
def test_bfloat16_is_kept(key, rng, order):
    image = jnp.asarray(rng.random((6, 5, 3)), jnp.bfloat16)
    got = augment.ColorJitter(order=order, **STRENGTHS)(key, image)
    assert got.dtype == jnp.bfloat16
    wide = image.astype(jnp.float32)
    full = augment.ColorJitter(order=order, **STRENGTHS)(key, wide)
    np.testing.assert_allclose(
        got.astype(jnp.float32), full, **helpers.TOLERANCE["bfloat16_view"]
    )


def test_errors(key):
    with pytest.raises(ValueError, match=r"hue must be in \[0.0, 0.5\]; got 0.6"):
        augment.ColorJitter(brightness=0.1, contrast=0.1, hue=0.6)
    with pytest.raises(ValueError, match=r"brightness must be in"):
        augment.ColorJitter(brightness=-0.1, contrast=0.1)
    with pytest.raises(ValueError, match=r"order must be 'random' or 'fixed'"):
        augment.ColorJitter(brightness=0.1, contrast=0.1, order="any")
    with pytest.raises(ValueError, match=r"Unknown jitter family 'v3'.*v1, v2"):
        augment.ColorJitter(brightness=0.1, contrast=0.1, family="v3")
    with pytest.raises(ValueError, match=r"three channels"):
        augment.ColorJitter(brightness=0.1, contrast=0.1, hue=0.1)(
            key, jnp.zeros((2, 2, 4))
        )
    with pytest.raises(ValueError, match=r"threshold must be in"):
        augment.RandomSolarize(threshold=2.0)
