"""BatchNorm and max-pooling as one operation that never stores their middle.

With a scale that is not negative BatchNorm keeps the order of the values, so maxima can
be taken first and normalized after: 3 x 3 windows with stride 2 leave a quarter of the
values. The sums of the backward pass run over the maxima alone, too: ``sum(g x)`` over
the pixels that were chosen is ``sum(g max)``.
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
    """Normalizes every channel over all pixels, then takes maxima of 3 x 3 windows.

    ``max_pool(normalization.batch_norm(x, scale, bias))`` with stride 2 and the padding
    "SAME". Of pixels that tie, the first gets the gradient.

    Args:
      x: activations, shape [b, h, w, c].
      scale: float32, shape [c], not negative.
      bias: float32, shape [c].
      epsilon: added to the variance.
      pivot: where the mean is expected, as for ``normalization.batch_norm``.

    Returns:
      The result, shape [b, ceil(h / 2), ceil(w / 2), c], of the type of ``x``; the mean
      and the biased variance of the batch before pooling, float32 [c], through which no
      gradient flows.
    """
    pivot = jnp.zeros_like(scale) if pivot is None else pivot
    y, mean, variance = cast(Any, _pooled(epsilon, x, scale, bias, pivot))
    return y, jax.lax.stop_gradient(mean), jax.lax.stop_gradient(variance)


def max_pool_3x3(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Takes the maximum of 3 x 3 windows with stride 2 and the padding "SAME"."""
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
    # Not highest - pivot as in the forward pass, see ``normalization.batch_norm``.
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
