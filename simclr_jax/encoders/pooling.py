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

from simclr_jax.core import normalization


def batch_norm_max_pool(
    x: Float[Array, "b h w c"],
    scale: Float[Array, " c"],
    bias: Float[Array, " c"],
    *,
    epsilon: float,
) -> tuple[Float[Array, "b h2 w2 c"], Float[Array, " c"], Float[Array, " c"]]:
    """Normalizes every channel over all pixels, then takes maxima of 3 x 3 windows.

    ``max_pool(normalization.batch_norm(x, scale, bias))`` with stride 2 and the padding
    "SAME". Of pixels that tie, the first gets the gradient.

    Args:
      x: activations, shape [b, h, w, c].
      scale: float32, shape [c], not negative.
      bias: float32, shape [c].
      epsilon: added to the variance.

    Returns:
      The result, shape [b, ceil(h / 2), ceil(w / 2), c], of the type of ``x``; the mean
      and the biased variance of the batch before pooling, float32 [c], through which no
      gradient flows.
    """
    y, mean, variance = cast(Any, _pooled(epsilon, x, scale, bias))
    return y, jax.lax.stop_gradient(mean), jax.lax.stop_gradient(variance)


def max_pool_3x3(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Takes the maximum of 3 x 3 windows with stride 2 and the padding "SAME"."""
    return nnx.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")


def _forward(epsilon, x, scale, bias) -> tuple[tuple, tuple]:
    mean, variance = normalization.moments(x)
    inverse = jax.lax.rsqrt(variance + epsilon)
    slope = scale * inverse
    highest = max_pool_3x3(x)
    y = _like(slope) * highest.astype(jnp.float32) + _like(bias - mean * slope)
    return (y.astype(x.dtype), mean, variance), (x, highest, scale, mean, inverse)


def _backward(epsilon, residuals, cotangents):
    x, highest, scale, mean, inverse = residuals
    g = cotangents[0].astype(jnp.float32)
    d_bias = g.sum((0, 1, 2))
    total = (g * highest.astype(jnp.float32)).sum((0, 1, 2))
    d_scale = (total - mean * d_bias) * inverse
    slope, a, b = normalization.input_gradient(
        scale,
        mean,
        inverse,
        d_scale=d_scale,
        d_bias=d_bias,
        count=float(x.size // x.shape[-1]),
    )
    (placed,) = jax.vjp(max_pool_3x3, x)[1](cotangents[0])
    dx = _like(slope) * placed.astype(jnp.float32) + _like(a) * x.astype(jnp.float32)
    return (dx + _like(b)).astype(x.dtype), d_scale, d_bias


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _pooled(epsilon, x, scale, bias):
    return _forward(epsilon, x, scale, bias)[0]


_pooled.defvjp(_forward, _backward)


def _like(vector):
    """Gives a vector [c] the rank of images."""
    return vector[None, None, None, :]
