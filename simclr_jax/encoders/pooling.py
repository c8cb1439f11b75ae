"""BatchNorm and max-pooling as one operation that never stores their middle.

With a scale that is not negative BatchNorm keeps the order of the values, so the
maximum can be taken first and normalized after: of 3 x 3 windows with stride 2 a quarter
of the values is left. The sums of the backward pass, too, run over the maxima alone,
since ``sum(g x)`` over the pixels that were chosen is ``sum(g max)``.
"""

import functools
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


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
    wide = x.astype(jnp.float32)
    mean = wide.mean((0, 1, 2))
    variance = jnp.maximum((wide * wide).mean((0, 1, 2)) - mean * mean, 0.0)
    inverse = jax.lax.rsqrt(variance + epsilon)
    slope = scale * inverse
    highest = max_pool_3x3(x)
    y = highest.astype(jnp.float32) * _like(slope) + _like(bias - mean * slope)
    return (y.astype(x.dtype), mean, variance), (x, highest, scale, mean, inverse)


def _backward(epsilon, residuals, cotangents):
    x, highest, scale, mean, inverse = residuals
    wide, g = highest.astype(jnp.float32), cotangents[0].astype(jnp.float32)
    count = x.size // x.shape[-1]
    d_bias = g.sum((0, 1, 2))
    d_scale = ((g * wide).sum((0, 1, 2)) - mean * d_bias) * inverse
    # As in normalization.batch_norm, with g where its maximum was.
    slope = scale * inverse
    a = -slope * inverse * d_scale / count
    b = -slope * d_bias / count - a * mean
    (placed,) = jax.vjp(max_pool_3x3, x)[1](cotangents[0])
    dx = _like(slope) * placed.astype(jnp.float32)
    dx = dx + _like(a) * x.astype(jnp.float32) + _like(b)
    return dx.astype(x.dtype), d_scale, d_bias


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _pooled(epsilon, x, scale, bias):
    return _forward(epsilon, x, scale, bias)[0]


_pooled.defvjp(_forward, _backward)


def _like(vector):
    """Gives a vector [c] the rank of images."""
    return vector[None, None, None, :]
