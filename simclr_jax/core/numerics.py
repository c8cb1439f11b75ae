"""Numerics shared by losses, heads and evaluations. Always float32 inside."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

NORM_EPSILON = 1e-12
"""Smallest squared norm that is divided by, as in the original implementation."""


def l2_normalize(x: Float[Array, "*rows d"]) -> Float[Array, "*rows d"]:
    """Scales each row to unit length; a zero row stays zero, with a finite gradient.

    Args:
      x: rows of any float type.

    Returns:
      Float32 rows of the same shape: ``x / sqrt(max(sum(x ** 2), 1e-12))``.
    """
    x = x.astype(jnp.float32)
    squared_norm = jnp.sum(x * x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(squared_norm, NORM_EPSILON))
