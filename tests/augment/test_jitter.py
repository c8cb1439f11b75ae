"""The jitter against the four operations applied one after the other."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax import augment
from simclr_jax.augment import jitter
from tests import helpers

NAMES = ("brightness", "contrast", "saturation", "hue")
STRENGTHS = {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2}
ORDERS = list(itertools.permutations(NAMES))


OPERATIONS = {
    "additive": jax.jit(
        lambda image, amount: augment.adjust_brightness(
            image, amount=amount, mode="additive"
        )
    ),
    "multiplicative": jax.jit(
        lambda image, amount: augment.adjust_brightness(image, amount=1.0 + amount)
    ),
    "contrast": jax.jit(
        lambda image, amount: augment.adjust_contrast(image, factor=1.0 + amount)
    ),
    "saturation": jax.jit(
        lambda image, amount: augment.adjust_saturation(image, factor=1.0 + amount)
    ),
    "hue": jax.jit(lambda image, amount: augment.adjust_hue(image, delta=amount)),
}


def one_by_one(image, order, draws, mode):
    """Applies the deterministic operations in the given order."""
    for name in order:
        amount = STRENGTHS[name] * draws[NAMES.index(name)]
        image = OPERATIONS[mode if name == "brightness" else name](image, amount)
    return image


def draws_of(key):
    """The four numbers in [-1, 1] that the jitter draws from its key."""
    _, amount_key = jax.random.split(key)
    draws = jax.random.uniform(amount_key, (4,), minval=-1.0)
    return [float(draw) for draw in draws]


@pytest.mark.parametrize("mode", ["multiplicative", "additive"])
def test_every_order_matches_one_by_one(key, rng, monkeypatch, mode):
    image = jnp.asarray(rng.random((6, 5, 3)), jnp.float32)
    draws = draws_of(key)

    @jax.jit
    def jittered(row):
        slots = (row[0] == 1, row[1], row[2])
        monkeypatch.setattr(jitter, "_draw_slots", lambda *_: slots)
        return augment.color_jitter(key, image, brightness_mode=mode, **STRENGTHS)

    for order, row in zip(ORDERS, jitter.slot_table(), strict=True):
        expected = one_by_one(image, order, draws, mode)
        np.testing.assert_allclose(
            jittered(row), expected, **helpers.TOLERANCE["image"]
        )


def test_fixed_order_is_the_order_of_the_arguments(key, rng):
    image = jnp.asarray(rng.random((6, 5, 3)), jnp.float32)
    got = augment.color_jitter(key, image, order="fixed", **STRENGTHS)
    expected = one_by_one(image, NAMES, draws_of(key), "multiplicative")
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])


def test_every_order_is_equally_likely(key):
    def draw(sample_key):
        return jnp.stack(
            [jnp.int32(x) for x in jitter._draw_slots(sample_key, "random")]
        )

    number = 24_000
    rows = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(key, number)))
    got, counts = np.unique(rows, axis=0, return_counts=True)
    table, expected = np.unique(jitter.slot_table(), axis=0, return_counts=True)
    np.testing.assert_array_equal(got, table)
    # Five standard deviations of each count.
    expected = expected / 24 * number
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected))


def test_one_channel_skips_saturation_and_hue(key, rng):
    image = jnp.asarray(rng.random((6, 5, 1)), jnp.float32)
    got = augment.color_jitter(key, image, order="fixed", **STRENGTHS)
    expected = one_by_one(image, NAMES[:2], draws_of(key), "multiplicative")
    np.testing.assert_allclose(got, expected, **helpers.TOLERANCE["image"])


def test_zero_strength_changes_nothing(key, rng):
    image = jnp.asarray(rng.random((6, 5, 3)), jnp.float32)
    got = augment.color_jitter(key, image, brightness=0.0, contrast=0.0)
    np.testing.assert_allclose(got, image, **helpers.TOLERANCE["image"])


@pytest.mark.parametrize(
    ("operation", "share"),
    [(augment.random_grayscale, 0.2), (augment.random_solarize, 0.2)],
)
def test_share_of_changed_images(key, operation, share):
    image = jnp.asarray([[[0.9, 0.1, 0.2]]])
    keys = jax.random.split(key, 4000)
    out = jax.jit(jax.vmap(operation, in_axes=(0, None)))(keys, image)
    changed = jnp.mean(jnp.any(out != image[None], axis=(1, 2, 3)), dtype=jnp.float32)
    # Four standard deviations of a share of 4,000 draws.
    assert abs(float(changed) - share) < 4 * np.sqrt(share * (1 - share) / 4000)


def test_errors(key):
    image = jnp.zeros((2, 2, 3))
    with pytest.raises(ValueError, match=r"hue must be in \[0.0, 0.5\]; got 0.6"):
        augment.color_jitter(key, image, brightness=0.1, contrast=0.1, hue=0.6)
    with pytest.raises(ValueError, match=r"brightness must be in"):
        augment.color_jitter(key, image, brightness=-0.1, contrast=0.1)
    with pytest.raises(ValueError, match=r"order must be 'random' or 'fixed'"):
        augment.color_jitter(key, image, brightness=0.1, contrast=0.1, order="any")
    with pytest.raises(ValueError, match=r"three channels"):
        augment.color_jitter(key, jnp.zeros((2, 2, 4)), brightness=0.1, contrast=0.1)
    with pytest.raises(ValueError, match=r"threshold must be in"):
        augment.random_solarize(key, image, threshold=2.0)
