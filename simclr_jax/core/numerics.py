"""Numerical functions shared by losses and evaluations, computed in float32."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_MANTISSA_BITS = 23
_LARGEST_EXPONENT = 253  # Biased; the inverse of a larger power of two is subnormal.


def l2_normalize(x: Float[Array, "*rows d"]) -> Float[Array, "*rows d"]:
    """Scales each row to unit length; exact for very large and very small norms.

    Each row is first multiplied by a power of two that brings its largest entry near 1,
    which is exact. So squares neither overflow nor vanish: value and gradient are right
    for every finite row whose largest entry is a normal float32 number, 1.2e-38 to
    3.4e38, and multiplying a row by a power of two changes no bit of the result. The
    gradient to a row is inversely proportional to its norm and overflows only where
    that exceeds float32.

    A row of zeros (or of subnormal numbers, below 1.2e-38) has no direction: it becomes
    or stays zero, and its gradient is zero.

    Args:
      x: rows of any float type.

    Returns:
      Float32 rows of the same shape: ``x / sqrt(sum(x ** 2))``.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax.core import numerics
      >>> numerics.l2_normalize(jnp.array([[3.0, 4.0]]))
      Array([[0.6, 0.8]], dtype=float32)
    """
    x = x.astype(jnp.float32)
    largest = jnp.max(jnp.abs(jax.lax.stop_gradient(x)), axis=-1, keepdims=True)
    x = x * _inverse_power_of_two(largest)
    squared_norm = jnp.sum(x * x, axis=-1, keepdims=True)
    # The sum is at least 1, except for rows of zeros, which have no gradient.
    return x * jax.lax.rsqrt(jnp.maximum(squared_norm, 0.5))


def _inverse_power_of_two(m: jax.Array) -> jax.Array:
    """Returns 2^-floor(log2(m)) of float32 m >= 0, at least 2^-126; 0 if m is 0."""
    bits = jax.lax.bitcast_convert_type(m, jnp.int32)
    exponent = jnp.minimum(bits >> _MANTISSA_BITS, _LARGEST_EXPONENT)
    inverse = jnp.where(exponent == 0, 0, (2 * 127 - exponent) << _MANTISSA_BITS)
    return jax.lax.bitcast_convert_type(inverse, jnp.float32)
