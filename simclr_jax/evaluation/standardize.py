"""Standardization of feature columns, accurate even if means are far from zero."""

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
    """Computes center and scale of each column, for ``(features - center) * scale``.

    Sums are taken over differences, first from the first row and then from the mean,
    and in two levels, so that rounding errors do not grow with mean / std or with n. A
    column is regarded as constant if its standard deviation does not exceed the
    rounding error of its values (16 float32 epsilons of its mean) or of all features
    (one epsilon of the median standard deviation). Its scale is 0, so that no weight
    depends on rounding errors.

    Args:
      features: float32 [n d].

    Returns:
      Mean and reciprocal standard deviation of each column, both [d].
    """
    pivot = features[0]
    center = pivot + _mean(features - pivot[None, :])
    # Corrects the rounding error of the mean, large if the first row is an outlier.
    center = center + _mean(features - center[None, :])
    residuals = features - center[None, :]
    # Scaled to at most 1, so that the squares neither overflow nor vanish.
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
