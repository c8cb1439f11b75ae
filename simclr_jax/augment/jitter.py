"""Random color operations: jitter in random order, grayscale, solarize."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from simclr_jax.augment import color, operation, planes
from simclr_jax.core import checks, errors, registry, types

# The four operations in every order, without evaluating four at each position.
#
# Hue and saturation commute (one turns H, the other scales C of the same HSV
# coordinates), brightness and contrast do not. So each of the 24 orders is a way to
# fill the five slots
#
#     color, level, color, level, color
#
# where a "level" slot holds brightness or contrast (both are scale and shift per
# channel), and a "color" slot holds hue, saturation, both or neither (identity
# parameters). A table gives for each order the slot of each operation. That is 3 + 2
# cheap evaluations, where a vmapped `lax.switch` at four positions makes 16.


ORDERS = tuple(itertools.permutations(("brightness", "contrast", "saturation", "hue")))
"""The 24 orders of the four operations; ``DrawnJitter.jitter_order`` counts in them."""

FAMILIES = {"v1": "additive", "v2": "multiplicative"}
"""How the brightness changes in the jitter of each version of SimCLR."""


def slot_table() -> np.ndarray:
    """Rows: [is contrast first, slot of saturation, slot of hue] for each order."""
    rows = []
    for order in ORDERS:
        levels = [order.index("brightness"), order.index("contrast")]
        slots = [
            sum(level < order.index(name) for level in levels)
            for name in ("saturation", "hue")
        ]
        rows.append([levels[1] < levels[0], *slots])
    return np.asarray(rows, np.int32)


_SLOTS = slot_table()


class DrawnJitter(NamedTuple):
    """What ``color_jitter`` draws, in the units of ``color.adjust_...``."""

    brightness: Float[Array, ""]
    contrast: Float[Array, ""]
    saturation: Float[Array, ""]
    hue: Float[Array, ""]
    jitter_order: Int[Array, ""]


def draw_jitter(
    key: types.PRNGKey,
    image: types.Image,
    *,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
    order: str,
    family: str,
) -> DrawnJitter:
    """Draws the amounts and the order of a jitter; see ``color_jitter``.

    Returns:
      The brightness as a factor (family v2) or a summand (v1), the contrast and the
      saturation as factors, the hue as a turn, and the index of the order in
      ``ORDERS``.
    """
    del image
    _check_jitter(brightness, contrast, saturation, hue, order)
    mode = registry.lookup("jitter family", family, FAMILIES)
    order_key, amount_key = jax.random.split(key)
    draws = jax.random.uniform(amount_key, (4,), minval=-1.0)
    index = jnp.int32(0)
    if order == "random":
        index = jax.random.randint(order_key, (), 0, len(ORDERS))
    bright = brightness * draws[0]
    if mode == "multiplicative":
        bright = _factor(draws[0], brightness)
    return DrawnJitter(
        brightness=bright,
        contrast=_factor(draws[1], contrast),
        saturation=_factor(draws[2], saturation),
        hue=hue * draws[3],
        jitter_order=index,
    )


@operation.draws(draw_jitter, label="jitter")
def color_jitter(
    key: types.PRNGKey,
    image: types.Image,
    *,
    brightness: float,
    contrast: float,
    saturation: float = 0.0,
    hue: float = 0.0,
    order: str = "random",
    family: str = "v2",
) -> types.Image:
    """Changes brightness, contrast, saturation and hue by random amounts.

    The image is clipped to [0, 1] after each of the four, as in the original code. An
    image of one channel has no saturation and no hue: those two are skipped.

    Args:
      key: PRNG key.
      image: in [0, 1]; three channels where saturation or hue is to change.
      brightness: family v2: the factor is uniform in [max(0, 1 - brightness),
        1 + brightness]; v1: the summand is uniform in [-brightness, brightness].
      contrast: the factor is uniform in [max(0, 1 - contrast), 1 + contrast].
      saturation: the factor is uniform in [max(0, 1 - saturation), 1 + saturation].
      hue: the turn is uniform in [-hue, hue] of the circle; at most 0.5.
      order: ``"random"``, each of the 24 orders alike (the released code), or
        ``"fixed"``, in the order of the arguments (the paper's listing).
      family: ``"v1"``, the jitter of SimCLR's paper with its additive brightness, or
        ``"v2"``, that of SimCLRv2 and of the released code, multiplicative.

    Returns:
      The image in [0, 1], of the same dtype.

    Raises:
      UserError: if an amount is negative, a name unknown, or the saturation or hue of
        an image of neither one nor three channels is to change.

    References:
      Chen et al., 2020, appendix A. https://arxiv.org/abs/2002.05709
    """
    drawn = draw_jitter(
        key,
        image,
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
        hue=hue,
        order=order,
        family=family,
    )
    has_color = image.shape[-1] != 1 and (saturation > 0.0 or hue > 0.0)
    if has_color:
        color.check_three_channels("saturation or hue of color_jitter", image)
    slots = _slots(drawn, family)
    bands = planes.split(image)
    if has_color and order == "random":
        bands = _change_color(bands, jax.tree.map(lambda x: x[0], slots))

    def change(bands, slot):
        bands = _change_level(bands, slot)
        return (_change_color(bands, slot) if has_color else bands), None

    # A loop keeps the slots apart: a compiler for CPUs would fuse them and evaluate the
    # first ones once more for every use in the last.
    bands, _ = jax.lax.scan(change, bands, jax.tree.map(lambda x: x[1:], slots))
    return jnp.stack(bands, axis=-1)


class DrawnGrayscale(NamedTuple):
    """What ``random_grayscale`` draws."""

    grayscale: Bool[Array, ""]


def draw_grayscale(
    key: types.PRNGKey, image: types.Image, *, probability: float
) -> DrawnGrayscale:
    """Draws whether the colors are lost; see ``random_grayscale``."""
    del image
    checks.check_in_range("probability", probability, low=0.0, high=1.0)
    return DrawnGrayscale(grayscale=jax.random.bernoulli(key, probability))


@operation.draws(draw_grayscale, label="grayscale")
def random_grayscale(
    key: types.PRNGKey, image: types.Image, *, probability: float = 0.2
) -> types.Image:
    """Replaces the colors by their luma with the given probability.

    Args:
      key: PRNG key.
      image: in [0, 1]; one channel is returned as it is.
      probability: in [0, 1].

    Returns:
      The image, of the same shape.

    Raises:
      UserError: if ``probability`` is outside [0, 1] or the image neither has one nor
        three channels.
    """
    drawn = draw_grayscale(key, image, probability=probability)
    choose = lambda gray, band: jnp.where(drawn.grayscale, gray, band)
    return planes.map_planes(choose, color.to_grayscale(image), image)


class DrawnSolarize(NamedTuple):
    """What ``random_solarize`` draws."""

    solarized: Bool[Array, ""]


def draw_solarize(
    key: types.PRNGKey, image: types.Image, *, probability: float
) -> DrawnSolarize:
    """Draws whether bright values are inverted; see ``random_solarize``."""
    del image
    checks.check_in_range("probability", probability, low=0.0, high=1.0)
    return DrawnSolarize(solarized=jax.random.bernoulli(key, probability))


@operation.draws(draw_solarize, label="solarize")
def random_solarize(
    key: types.PRNGKey,
    image: types.Image,
    *,
    threshold: float = 0.5,
    probability: float = 0.2,
) -> types.Image:
    """Inverts every value at or above the threshold with the given probability.

    Args:
      key: PRNG key.
      image: in [0, 1].
      threshold: in [0, 1].
      probability: in [0, 1]; BYOL takes 0.2 for the second view and 0 for the first.

    Returns:
      The image, of the same shape.

    Raises:
      UserError: if ``threshold`` or ``probability`` is outside [0, 1].
    """
    checks.check_in_range("threshold", threshold, low=0.0, high=1.0)
    drawn = draw_solarize(key, image, probability=probability)
    choose = lambda new, band: jnp.where(drawn.solarized, new, band)
    changed = color.solarize(image, threshold=threshold)
    return planes.map_planes(choose, changed, image)


class _Slots(NamedTuple):
    """Three times a level and the color after it: parameters of shape [3]."""

    scale: jax.Array
    shift: jax.Array
    mean_shift: jax.Array
    turn: jax.Array
    saturation: jax.Array


def _slots(drawn, family):
    """Returns the slots; what an operation has no place in is its identity."""
    contrast_first, saturation_slot, hue_slot = jnp.asarray(_SLOTS)[drawn.jitter_order]
    slots = jnp.arange(3)
    is_contrast = slots == jnp.where(contrast_first == 1, 1, 2)
    is_brightness = slots == jnp.where(contrast_first == 1, 2, 1)
    is_factor = FAMILIES[family] == "multiplicative"
    bright = jnp.where(is_brightness, drawn.brightness, 1.0 if is_factor else 0.0)
    return _Slots(
        scale=jnp.where(is_contrast, drawn.contrast, bright if is_factor else 1.0),
        shift=jnp.zeros(3) if is_factor else bright,
        mean_shift=jnp.where(is_contrast, 1.0 - drawn.contrast, 0.0),
        turn=jnp.where(slots == hue_slot, drawn.hue, 0.0),
        saturation=jnp.where(slots == saturation_slot, drawn.saturation, 1.0),
    )


def _factor(draw, amount):
    """Maps a draw uniform in [-1, 1] to [max(0, 1 - amount), 1 + amount]."""
    if amount <= 1.0:
        return 1.0 + amount * draw
    return (1.0 + amount) * (0.5 + 0.5 * draw)


def _change_level(bands, slot):
    """Applies the contrast or the brightness: both are scale and shift per channel."""

    def change(band):
        wide = band.astype(jnp.float32)
        shift = slot.shift + slot.mean_shift * jnp.mean(wide)
        return jnp.clip(wide * slot.scale + shift, 0.0, 1.0).astype(band.dtype)

    return tuple(map(change, bands))


def _change_color(bands, slot):
    """Turns and saturates; a loop over images skips the slots of neither."""
    return jax.lax.cond(
        (slot.turn != 0.0) | (slot.saturation != 1.0),
        lambda *bands: color.turn_and_saturate(bands, slot.turn, slot.saturation),
        lambda *bands: bands,
        *bands,
    )


def _check_jitter(brightness, contrast, saturation, hue, order):
    color.check_amount("brightness", brightness)
    color.check_amount("contrast", contrast)
    color.check_amount("saturation", saturation)
    color.check_amount("hue", hue, high=0.5)
    if order not in ("random", "fixed"):
        raise errors.UserError(f"order must be 'random' or 'fixed'; got {order!r}.")
