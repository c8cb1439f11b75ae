"""Numerics shared by losses, heads and evaluations. Always float32 inside."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_MANTISSA_BITS = 23
_LARGEST_EXPONENT = 253  # Of m in ``_inverse_power_of_two``: 1 / 2^127 is subnormal.


def l2_normalize(x: Float[Array, "*rows d"]) -> Float[Array, "*rows d"]:
    """Scales each row to unit length, whatever its norm.

    Each row is first multiplied by a power of two that brings its largest entry near 1,
    which is exact. So squares neither overflow nor vanish: value and gradient are right
    for every row whose largest entry is a normal float32 number (1.2e-38 to 3.4e38),
    and multiplying a row by a power of two changes no bit of the result. The gradient
    to a row is inversely proportional to its norm; it overflows only where that does.

    A row of zeros (or of subnormal numbers, where the platform flushes them) has no
    direction: it stays zero and its gradient is zero.

    Args:
      x: rows of any float type.

    Returns:
      Float32 rows of the same shape: ``x / sqrt(sum(x ** 2))``.
    """
    x = x.astype(jnp.float32)
    largest = jnp.max(jnp.abs(jax.lax.stop_gradient(x)), axis=-1, keepdims=True)
    x = jax.lax.optimization_barrier(x * _inverse_power_of_two(largest))
    squared_norm = jnp.sum(x * x, axis=-1, keepdims=True)
    is_zero = squared_norm == 0
    # Twice a ``where``: the gradient of the branch not taken must be finite too.
    unit = x * jax.lax.rsqrt(jnp.where(is_zero, 1.0, squared_norm))
    return jnp.where(is_zero, 0.0, unit)


def _inverse_power_of_two(m: jax.Array) -> jax.Array:
    """Returns 2^-floor(log2(m)) of float32 m >= 0 by its bits; at least 2^-126."""
    bits = jax.lax.bitcast_convert_type(m, jnp.int32)
    exponent = jnp.minimum(bits >> _MANTISSA_BITS, _LARGEST_EXPONENT)
    inverse = (2 * 127 - exponent) << _MANTISSA_BITS
    return jax.lax.bitcast_convert_type(inverse, jnp.float32)
