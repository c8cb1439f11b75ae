"""Random color operations: jitter in random order, grayscale, solarize."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from simclr_jax.augment import color
from simclr_jax.core import checks, errors, types

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


_OPERATIONS = ("brightness", "contrast", "saturation", "hue")


def slot_table() -> np.ndarray:
    """Rows: [is contrast first, slot of saturation, slot of hue] for each order."""
    rows = []
    for order in itertools.permutations(_OPERATIONS):
        levels = [order.index("brightness"), order.index("contrast")]
        slots = [
            sum(level < order.index(name) for level in levels)
            for name in ("saturation", "hue")
        ]
        rows.append([levels[1] < levels[0], *slots])
    return np.asarray(rows, np.int32)


_SLOTS = slot_table()


def color_jitter(
    key: types.PRNGKey,
    image: types.Image,
    *,
    brightness: float,
    contrast: float,
    saturation: float = 0.0,
    hue: float = 0.0,
    order: str = "random",
    brightness_mode: str = "multiplicative",
) -> types.Image:
    """Changes brightness, contrast, saturation and hue by random amounts.

    The image is clipped to [0, 1] after each of the four, as in the original code. An
    image of one channel has no saturation and no hue: those two are skipped.

    Args:
      key: PRNG key.
      image: in [0, 1], one or three channels.
      brightness: the factor is uniform in [max(0, 1 - brightness), 1 + brightness], or
        the summand in [-brightness, brightness].
      contrast: the factor is uniform in [max(0, 1 - contrast), 1 + contrast].
      saturation: the factor is uniform in [max(0, 1 - saturation), 1 + saturation].
      hue: the turn is uniform in [-hue, hue] of the circle; at most 0.5.
      order: ``"random"``, each of the 24 orders alike (the released code), or
        ``"fixed"``, in the order of the arguments (the paper's listing).
      brightness_mode: see ``color.adjust_brightness``.

    Returns:
      The image in [0, 1].

    Raises:
      UserError: if an amount is negative, a name unknown or the image neither has
        one nor three channels.

    References:
      Chen et al., 2020, appendix A. https://arxiv.org/abs/2002.05709
    """
    _check_jitter(brightness, contrast, saturation, hue, order, brightness_mode)
    order_key, amount_key = jax.random.split(key)
    draws = jax.random.uniform(amount_key, (4,), minval=-1.0)
    contrast_first, saturation_slot, hue_slot = _draw_slots(order_key, order)
    levels = _level_parameters(
        draws, brightness=brightness, contrast=contrast, mode=brightness_mode
    )
    if image.shape[-1] != 1:
        color.check_three_channels("color_jitter", image)
    has_color = image.shape[-1] == 3 and (saturation > 0.0 or hue > 0.0)
    factor = jnp.maximum(0.0, 1.0 + saturation * draws[2])
    turn = hue * draws[3]
    for slot in range(3):
        if slot > 0:
            is_contrast = contrast_first if slot == 1 else ~contrast_first
            image = _level(image, levels, is_contrast=is_contrast)
        if has_color and (slot == 2 or order == "random"):
            image = color.adjust_hue_and_saturation(
                image,
                delta=jnp.where(hue_slot == slot, turn, 0.0),
                factor=jnp.where(saturation_slot == slot, factor, 1.0),
            )
    return image


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
    checks.check_in_range("probability", probability, low=0.0, high=1.0)
    if image.shape[-1] == 1:
        return image
    is_gray = jax.random.bernoulli(key, probability)
    return jnp.where(is_gray, color.to_grayscale(image), image)


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
    checks.check_in_range("probability", probability, low=0.0, high=1.0)
    is_inverted = jax.random.bernoulli(key, probability)
    return jnp.where(is_inverted, color.solarize(image, threshold=threshold), image)


def _draw_slots(key, order):
    index = jax.random.randint(key, (), 0, len(_SLOTS)) if order == "random" else 0
    row = jnp.asarray(_SLOTS)[index]
    return row[0] == 1, row[1], row[2]


def _level_parameters(draws, *, brightness, contrast, mode):
    """Returns (scale and shift of the brightness, factor of the contrast)."""
    factor = jnp.maximum(0.0, 1.0 + contrast * draws[1])
    if mode == "additive":
        return jnp.float32(1.0), brightness * draws[0], factor
    return jnp.maximum(0.0, 1.0 + brightness * draws[0]), jnp.float32(0.0), factor


def _level(image, levels, *, is_contrast):
    """Applies the contrast or the brightness: both are scale and shift per channel."""
    bright_scale, bright_shift, factor = levels
    mean = jnp.mean(image, axis=(0, 1), keepdims=True)
    scale = jnp.where(is_contrast, factor, bright_scale)
    shift = jnp.where(is_contrast, (1.0 - factor) * mean, bright_shift)
    return jnp.clip(image * scale + shift, 0.0, 1.0)


def _check_jitter(brightness, contrast, saturation, hue, order, brightness_mode):
    color.check_amount("brightness", brightness)
    color.check_amount("contrast", contrast)
    color.check_amount("saturation", saturation)
    color.check_amount("hue", hue, high=0.5)
    color.check_brightness_mode(brightness_mode)
    if order not in ("random", "fixed"):
        raise errors.UserError(f"order must be 'random' or 'fixed'; got {order!r}.")
