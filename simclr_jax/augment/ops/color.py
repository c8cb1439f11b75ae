"""Deterministic color operations on images in [0, 1], with results in [0, 1].

Every operation keeps the dtype of the image. For a bfloat16 image the arithmetic is
done in float32 and rounded once, at the end: a hue of up to 12 sixths of the circle
would have steps of 1/16 in bfloat16, and inside a fused loop float32 has no extra cost.
"""

import jax
import jax.numpy as jnp

from simclr_jax.augment import planes
from simclr_jax.augment.resizing import resample
from simclr_jax.core import checks, errors, types

GRAY_WEIGHTS = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in luma, as in ``tf.image.rgb_to_grayscale``."""

Planes = tuple[jax.Array, ...]
"""Red, green and blue, each [h w]: faster on a CPU than channels side by side."""


def adjust_brightness(
    image: types.Image, *, amount: resample.Number, mode: str = "multiplicative"
) -> types.Image:
    """Changes the brightness.

    Args:
      image: in [0, 1].
      amount: the factor >= 0 (1 keeps the image), or the summand (0 keeps the image).
      mode: ``"multiplicative"`` (SimCLR v2 and the released code's default) or
        ``"additive"`` (SimCLR v1).

    Returns:
      ``image * amount`` or ``image + amount``, clipped to [0, 1].

    Raises:
      UserError: if ``mode`` is neither.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax.augment import ops
      >>> ops.adjust_brightness(jnp.asarray([[[0.25, 0.75]]]), amount=2.0)
      Array([[[0.5, 1. ]]], dtype=float32)
    """
    check_brightness_mode(mode)
    wide = image.astype(jnp.float32)
    changed = wide * amount if mode == "multiplicative" else wide + amount
    return jnp.clip(changed, 0.0, 1.0).astype(image.dtype)


def adjust_contrast(image: types.Image, *, factor: resample.Number) -> types.Image:
    """Scales the difference of each channel from its mean over the image.

    The mean is that of the channel, as in TensorFlow and the original code; torchvision
    uses the mean of the gray image.

    Args:
      image: in [0, 1].
      factor: >= 0; 1 keeps the image, 0 leaves the mean.

    Returns:
      ``(image - mean) * factor + mean``, clipped to [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax.augment import ops
      >>> ops.adjust_contrast(jnp.asarray([[[0.25], [0.75]]]), factor=0.5)[0, :, 0]
      Array([0.375, 0.625], dtype=float32)
    """
    wide = image.astype(jnp.float32)
    mean = jnp.mean(wide, axis=(0, 1), keepdims=True)
    return jnp.clip((wide - mean) * factor + mean, 0.0, 1.0).astype(image.dtype)


def adjust_saturation(image: types.Image, *, factor: resample.Number) -> types.Image:
    """Scales the saturation (the S of HSV); keeps hue and value.

    Args:
      image: in [0, 1], three channels.
      factor: >= 0; 1 keeps the image, 0 gives a gray image. The scaled saturation is
        clipped to 1.

    Returns:
      The image in [0, 1].

    Raises:
      UserError: if the image does not have three channels.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax.augment import ops
      >>> ops.adjust_saturation(jnp.asarray([[[1.0, 0.5, 0.5]]]), factor=0.5)
      Array([[[1.  , 0.75, 0.75]]], dtype=float32)
    """
    check_three_channels("adjust_saturation", image)
    wide = image.astype(jnp.float32)
    value = jnp.max(wide, axis=-1, keepdims=True)
    chroma = value - jnp.min(wide, axis=-1, keepdims=True)
    gain = saturation_gain(value, chroma, factor)
    return jnp.maximum(value - (value - wide) * gain, 0.0).astype(image.dtype)


def adjust_hue(image: types.Image, *, delta: resample.Number) -> types.Image:
    """Rotates the hue; keeps saturation and value.

    Args:
      image: in [0, 1], three channels.
      delta: the rotation as a fraction of the circle; 1/3 turns red into green.

    Returns:
      The image in [0, 1].

    Raises:
      UserError: if the image does not have three channels.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax.augment import ops
      >>> ops.adjust_hue(jnp.asarray([[[1.0, 0.0, 0.0]]]), delta=0.5)
      Array([[[0., 1., 1.]]], dtype=float32)
    """
    check_three_channels("adjust_hue", image)
    return adjust_hue_and_saturation(image, delta=delta, factor=1.0)


def adjust_hue_and_saturation(
    image: types.Image, *, delta: resample.Number, factor: resample.Number
) -> types.Image:
    """Rotates the hue and scales the saturation with one conversion to HSV.

    With value V = max, chroma C = max - min and the hue H in sixths of the circle, a
    channel is ``V - C * clip(d - 1, 0, 1)``, where d is the distance on the circle from
    H to the position of the channel: 0, 2, 4 for red, green, blue. A rotation changes
    only H and a saturation factor only C, so the two commute and share the conversion.

    Args:
      image: in [0, 1], three channels.
      delta: rotation of the hue as a fraction of the circle.
      factor: of the saturation, >= 0.

    Returns:
      The image in [0, 1].

    Raises:
      UserError: if the image does not have three channels.

    References:
      Smith, "Color gamut transform pairs", 1978 (HSV).

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax.augment import ops
      >>> ops.adjust_hue_and_saturation(
      ...     jnp.asarray([[[1.0, 0.0, 0.0]]]), delta=0.5, factor=0.5
      ... )
      Array([[[0.5, 1. , 1. ]]], dtype=float32)
    """
    check_three_channels("adjust_hue_and_saturation", image)
    return jnp.stack(turn_and_saturate(planes.split(image), delta, factor), axis=-1)


def turn_and_saturate(
    bands: Planes, delta: resample.Number, factor: resample.Number
) -> Planes:
    """Changes planes as ``adjust_hue_and_saturation`` changes an image."""
    dtype = bands[0].dtype
    red, green, blue = (band.astype(jnp.float32) for band in bands)
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    # Positions on the circle are multiplied by the chroma, which saves the division of
    # the hue. The channels are compared with each other, not with `value`: if two uses
    # of a channel are rounded differently, an equality with `value` would fail, while a
    # comparison of nearly equal channels may give either result.
    is_red = (red >= green) & (red >= blue)
    other = jnp.where(
        green >= blue, 2.0 * chroma + (blue - red), 4.0 * chroma + (red - green)
    )
    hue = jnp.where(is_red, green - blue, other)
    hue = hue + chroma * (6.0 * (delta - jnp.round(delta)))
    gain = saturation_gain(value, chroma, factor)

    def channel(place: float) -> jax.Array:
        distance = jnp.abs(hue - place * chroma)  # At most 8 of the 6 of the circle.
        distance = jnp.minimum(distance, jnp.abs(6.0 * chroma - distance))
        lack = jnp.clip(distance - chroma, 0.0, chroma)
        return jnp.maximum(value - gain * lack, 0.0).astype(dtype)

    return channel(0.0), channel(2.0), channel(4.0)


def saturation_gain(
    value: jax.Array, chroma: jax.Array, factor: resample.Number
) -> jax.Array:
    """Returns the factor of the chroma: ``factor``, at most ``1 / S``."""
    return jnp.minimum(factor, value / jnp.where(chroma > 0.0, chroma, 1.0))


def to_grayscale(image: types.Image) -> types.Image:
    """Replaces the colors by their luma, in all three channels.

    Args:
      image: in [0, 1], one or three channels; one channel is returned unchanged.

    Returns:
      The image, of the same shape.

    Raises:
      UserError: if the image has another number of channels.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax.augment import ops
      >>> ops.to_grayscale(jnp.ones((8, 8, 3))).shape
      (8, 8, 3)
    """
    if image.shape[-1] == 1:
        return image
    check_three_channels("to_grayscale", image)
    wide = image.astype(jnp.float32)
    red, green, blue = (wide[..., channel] for channel in range(3))
    gray = GRAY_WEIGHTS[0] * red + GRAY_WEIGHTS[1] * green + GRAY_WEIGHTS[2] * blue
    return jnp.broadcast_to(gray[..., None], image.shape).astype(image.dtype)


def solarize(image: types.Image, *, threshold: resample.Number = 0.5) -> types.Image:
    """Inverts every value at or above the threshold.

    Args:
      image: in [0, 1].
      threshold: in [0, 1].

    Returns:
      ``1 - x`` where ``x >= threshold``, else ``x``.

    References:
      Grill et al., "Bootstrap your own latent", 2020, appendix B.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax.augment import ops
      >>> ops.solarize(jnp.asarray([[[0.25, 1.0]]]))
      Array([[[0.25, 0.  ]]], dtype=float32)
    """
    return jnp.where(image.astype(jnp.float32) >= threshold, 1.0 - image, image)


def check_three_channels(function: str, image: jax.Array) -> None:
    """Raises unless the last axis of the image has three entries."""
    if image.shape[-1] != 3:
        raise errors.UserError(
            f"{function} needs an image of three channels, red, green and blue; got "
            f"shape {tuple(image.shape)}. Recipes without color operations, such as "
            "mnist and supervised, take any number of channels; data.channels chooses "
            "three."
        )


def check_brightness_mode(mode: str) -> None:
    """Raises unless the mode is one of the two of SimCLR."""
    if mode not in ("multiplicative", "additive"):
        raise errors.UserError(
            f"The brightness mode must be 'multiplicative' or 'additive'; got {mode!r}."
        )


def check_amount(name: str, value: float, *, high: float = float("inf")) -> None:
    """Raises unless ``value`` is a number in [0, high]."""
    checks.check_in_range(name, value, low=0.0, high=high)
