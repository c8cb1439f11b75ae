"""Standardization of features by column, exact where columns are far from zero."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Float

_EPSILON = float(jnp.finfo(jnp.float32).eps)
_TINY = float(jnp.finfo(jnp.float32).tiny)


@jax.jit
def center_and_scale(
    features: Float[jax.Array, "n d"],
) -> tuple[Float[jax.Array, " d"], Float[jax.Array, " d"]]:
    """Computes what standardizes each column: ``(features - center) * scale``.

    The sums are taken of differences, first from the first row and then from the mean,
    and in two levels, so that their rounding does not grow with mean / std or with n.
    A column whose standard deviation is not above the rounding of its own values (16
    float32 epsilons of its mean) or of the features as a whole (one epsilon of the
    median over the columns) is constant: its scale is 0, so that no weight can grow on
    its rounding errors.

    Args:
      features: float32, shape [n d].

    Returns:
      Mean and reciprocal standard deviation of each column, shape [d].
    """
    pivot = features[0]
    center = pivot + _mean(features - pivot[None, :])
    # What rounding left of the mean; it matters where the first row is far away.
    center = center + _mean(features - center[None, :])
    residuals = features - center[None, :]
    # Squares of values near 1 neither overflow nor vanish.
    largest = jnp.max(jnp.abs(residuals), axis=0)
    unit = jnp.where(largest > 0, largest, 1.0)
    std = unit * jnp.sqrt(_mean(jnp.square(residuals / unit[None, :])))
    varies = std > jnp.maximum(16 * _EPSILON * jnp.abs(center), _TINY / _EPSILON)
    typical = jnp.nanmedian(jnp.where(varies, std, jnp.nan))
    varies &= ~(std <= _EPSILON * typical)
    return center, jnp.where(varies, 1 / jnp.where(varies, std, 1.0), 0 * std)


def _mean(values: jax.Array) -> jax.Array:
    """Computes the mean by column, as a sum of sums of about sqrt(n) rows each."""
    num_rows = len(values)
    block = math.isqrt(num_rows)
    whole = num_rows // block * block
    sums = jnp.sum(values[:whole].reshape(-1, block, values.shape[1]), axis=1)
    return (jnp.sum(sums, axis=0) + jnp.sum(values[whole:], axis=0)) / num_rows
