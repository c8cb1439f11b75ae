"""Fused BatchNorm and 3x3 max-pooling that does not materialize the intermediate.

With a scale that is not negative BatchNorm preserves the order of the values, so the
maxima are computed first and only they are normalized: 3 x 3 windows with stride 2
leave a quarter of the values. The sums of the backward pass also run over the maxima
only: ``sum(g x)`` over the selected pixels is ``sum(g max)``.
"""

import functools
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from simclr_jax.nn import moments, normalization


def batch_norm_max_pool(
    x: Float[Array, "b h w c"],
    scale: Float[Array, " c"],
    bias: Float[Array, " c"],
    *,
    epsilon: float,
    pivot: Float[Array, " c"] | None = None,
) -> tuple[Float[Array, "b h2 w2 c"], Float[Array, " c"], Float[Array, " c"]]:
    """Applies BatchNorm followed by max-pooling of 3 x 3 windows.

    ``max_pool(normalization.batch_norm(x, scale, bias))`` with stride 2 and the padding
    "SAME". Of pixels that tie, the first gets the gradient.

    Args:
      x: activations, shape [b, h, w, c].
      scale: float32, shape [c], not negative.
      bias: float32, shape [c].
      epsilon: added to the variance.
      pivot: estimate of the mean, as for ``normalization.batch_norm``.

    Returns:
      The result, shape [b, ceil(h / 2), ceil(w / 2), c], of the type of ``x``; the mean
      and the biased variance of the batch before pooling, float32 [c], through which no
      gradient flows.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import nn
      >>> x, one = jnp.ones((2, 8, 8, 3)), jnp.ones(3)
      >>> nn.batch_norm_max_pool(x, one, 0 * one, epsilon=1e-5)[0].shape
      (2, 4, 4, 3)
    """
    pivot = jnp.zeros_like(scale) if pivot is None else pivot
    y, mean, variance = cast(Any, _pooled(epsilon, x, scale, bias, pivot))
    return y, jax.lax.stop_gradient(mean), jax.lax.stop_gradient(variance)


def max_pool_3x3(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Returns the maximum of 3 x 3 windows of ``x`` with stride 2 and padding "SAME".

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import nn
      >>> nn.max_pool_3x3(jnp.ones((1, 8, 8, 3))).shape
      (1, 4, 4, 3)
    """
    return nnx.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")


def _forward(epsilon, x, scale, bias, pivot) -> tuple[tuple, tuple]:
    found = moments.moments(x, pivot, epsilon=epsilon)
    inverse = jax.lax.rsqrt(found.variance + epsilon)
    highest = max_pool_3x3(x)
    y = moments.normalize(highest, found, scale * inverse, bias)
    return (y, found.mean, found.variance), (x, highest, scale, found, inverse)


def _backward(epsilon, residuals, cotangents):
    x, highest, scale, found, inverse = residuals
    g = cotangents[0].astype(jnp.float32)
    d_bias = g.sum((0, 1, 2))
    # Not written as highest - pivot, for the reason given in ``normalization``.
    minus_pivot = moments.like(-found.pivot, x)
    total = (g * (highest.astype(jnp.float32) + minus_pivot)).sum((0, 1, 2))
    d_scale = (total - found.offset * d_bias) * inverse
    vectors = normalization.input_gradient(
        scale,
        found.offset,
        inverse,
        d_scale=d_scale,
        d_bias=d_bias,
        count=float(x.size // x.shape[-1]),
    )
    slope, a, b = (moments.like(vector, x) for vector in vectors)
    (placed,) = jax.vjp(max_pool_3x3, x)[1](cotangents[0])
    dx = slope * placed.astype(jnp.float32) + a * x.astype(jnp.float32)
    return (
        (dx + (b + a * minus_pivot)).astype(x.dtype),
        d_scale,
        d_bias,
        jnp.zeros_like(scale),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _pooled(epsilon, x, scale, bias, pivot):
    return _forward(epsilon, x, scale, bias, pivot)[0]


_pooled.defvjp(_forward, _backward)
