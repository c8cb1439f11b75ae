"""Mean and variance of channels, accurate for channels with a large mean.

``E[(x - p)^2] - E[x - p]^2`` loses digits where the pivot p is many standard deviations
away from the mean. The running mean serves as pivot: every device already has it, so
that both moments need a single all-reduce. If the pivot is too far from the mean, as in
the first steps of a run, a second pass about the mean follows. The choice depends only
on sums over the global batch, so it is the same on every device.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

MAX_DISTANCE = 1.0
"""Standard deviations between pivot and mean up to which one pass is enough.

The relative error of the variance is then two or three float32 roundings.
"""

SECOND_PASS = "second_pass"
"""Name scope of operations that run only if a pivot is too far from the mean."""


class Moments(NamedTuple):
    """Moments of each channel. The mean is stored as pivot plus offset.

    Attributes:
      pivot: a number near the mean, float32, shape [*g c].
      offset: the mean less the pivot, float32, shape [*g c].
      variance: biased, float32, shape [*g c].
    """

    pivot: Float[Array, "*g c"]
    offset: Float[Array, "*g c"]
    variance: Float[Array, "*g c"]

    @property
    def mean(self) -> Float[Array, "*g c"]:
        """The mean of each channel."""
        return self.pivot + self.offset


def moments(
    x: Float[Array, "*rows c"], pivot: Float[Array, "*g c"], *, epsilon: float
) -> Moments:
    """Computes the moments over all axes of ``x`` between those of the pivot.

    Args:
      x: any float type, shape [*g rows c]; with g, each group has its own moments.
      pivot: estimate of the mean, float32, shape [*g c]; the same on all devices.
      epsilon: added to the variance by the caller; errors far below it are ignored.

    Returns:
      The moments, float32, through which no gradient is defined.
    """
    offset, variance = _about(x, pivot)

    @jax.named_scope(SECOND_PASS)
    def again(x, pivot, offset, variance):
        del variance
        pivot = pivot + offset
        centered = center(x, pivot)
        return Moments(pivot, *_about(centered, jnp.zeros_like(pivot)))

    def keep(x, pivot, offset, variance):
        del x
        return Moments(pivot, offset, variance)

    far = is_far(offset, variance, epsilon=epsilon)
    return jax.lax.cond(far, again, keep, x, pivot, offset, variance)


def is_far(
    offset: Float[Array, "*g c"],
    variance: Float[Array, "*g c"],
    *,
    epsilon: float,
    max_distance: float = MAX_DISTANCE,
) -> jax.Array:
    """Returns whether any channel's variance about a pivot has lost digits.

    Args:
      offset: the mean less the pivot.
      variance: computed about the pivot.
      epsilon: as for ``moments``.
      max_distance: in standard deviations.

    Returns:
      A scalar of type bool.
    """
    return jnp.any(jnp.square(offset) > max_distance**2 * (variance + epsilon))


def normalize(
    x: Float[Array, "*rows c"],
    found: Moments,
    slope: Float[Array, "*g c"],
    bias: Float[Array, "*g c"],
) -> Float[Array, "*rows c"]:
    """Returns ``(x - mean) * slope + bias``, computed in float32, of the type of x.

    Args:
      x: shape [*g rows c].
      found: the moments of x, or running ones.
      slope: float32, shape [*g c].
      bias: float32, shape [*g c].

    Returns:
      The result, of the shape and type of ``x``.
    """
    centered = center(x, found.pivot)
    y = centered * like(slope, x) + like(bias - found.offset * slope, x)
    return y.astype(x.dtype)


def center(
    x: Float[Array, "*rows c"], pivot: Float[Array, "*g c"]
) -> Float[Array, "*rows c"]:
    """Returns ``x - pivot`` in float32."""
    return x.astype(jnp.float32) - like(pivot, x)


def like(vector: Float[Array, "*g c"], x: Float[Array, "*rows c"]) -> jax.Array:
    """Gives vectors [*g c] the rank of ``x`` [*g rows c]."""
    *groups, channels = vector.shape
    ones = (1,) * (x.ndim - vector.ndim)
    return vector.reshape(*groups, *ones, channels)


def row_axes(vector: Float[Array, "*g c"], x: Float[Array, "*rows c"]) -> tuple:
    """Returns the axes of ``x`` [*g rows c] that vectors [*g c] lack."""
    return tuple(range(vector.ndim - 1, x.ndim - 1))


def _about(x, pivot):
    """Returns the mean less the pivot, and the variance, both of x - pivot."""
    wide, axes = x.astype(jnp.float32), row_axes(pivot, x)
    # Written in two forms, since XLA on a CPU materializes a common subexpression of
    # two reductions.
    offset = (wide + like(-pivot, x)).mean(axes)
    squares = jnp.square(wide - like(pivot, x)).mean(axes)
    return offset, jnp.maximum(squares - jnp.square(offset), 0.0)
