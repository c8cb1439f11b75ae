"""Resampling kernels and their positions along an axis."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Number = int | float | Float[Array, ""]
"""A Python number or a traced float scalar."""


class Span(NamedTuple):
    """Interval sampled along one axis, in pixels from the outer edge of the first.

    Attributes:
      start: of the interval; fractions are allowed.
      length: of the interval.
      valid: the pixels that may be read, from the first to one past the last.
      mirrored: whether the samples are taken from the end to the start.
    """

    start: Number
    length: Number
    valid: tuple[Number, Number]
    mirrored: bool | Bool[Array, ""] = False


def place(
    span: Span, *, out_size: int, antialias: bool
) -> tuple[Float[Array, " out"], Number]:
    """Returns the centers and the width factor of the kernels.

    Args:
      span: the sampled interval.
      out_size: number of samples.
      antialias: whether a kernel is widened by the reduction factor.

    Returns:
      The centers in pixels, and the factor by which a kernel is widened.
    """
    scale = jnp.float32(span.length) / out_size
    steps = jnp.arange(out_size, dtype=jnp.float32) + 0.5
    if span.mirrored is not False:
        steps = jnp.where(span.mirrored, out_size - steps, steps)
    widening = jnp.maximum(scale, 1.0) if antialias else 1.0
    return jnp.float32(span.start) + steps * scale, widening


def _triangle(distance: jax.Array) -> jax.Array:
    return jnp.maximum(0.0, 1.0 - distance)


def _keys_cubic(distance: jax.Array) -> jax.Array:
    near = ((1.5 * distance - 2.5) * distance) * distance + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    return jnp.where(distance < 1.0, near, jnp.where(distance < 2.0, far, 0.0))


KERNELS = {"bilinear": _triangle, "bicubic": _keys_cubic}

SUPPORTS = {"bilinear": 1.0, "bicubic": 2.0}
"""Distance in pixels beyond which a kernel is zero."""
