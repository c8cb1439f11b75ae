"""BatchNorm as every encoder and head here uses it, with a gradient that keeps little.

Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167. ``nnx.BatchNorm`` gives the same
numbers; its gradient keeps ``x - mean`` beside ``x``, which on a CPU costs a tenth of a
training step, and it computes in the type of the activations.
"""

import functools
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

DECAY = 0.9
"""Share of the old running statistics that an update keeps (PyTorch: 0.1)."""

EPSILON = 1e-5


class BatchNorm(nnx.Module):
    """Normalizes channels by the batch in training, by running statistics when frozen.

    Under ``jax.jit`` with a sharded batch the statistics are those of the global batch.

    Attributes:
      scale: float32, shape [c].
      bias: float32, shape [c], or None.
      mean: running mean, float32, shape [c].
      var: running (biased) variance, float32, shape [c].
      use_running_average: whether it is frozen; ``nnx.view`` sets it.
    """

    def __init__(
        self,
        num_channels: int,
        *,
        initial_scale: float = 1.0,
        use_bias: bool = True,
        dtype: DTypeLike = jnp.float32,
    ):
        """Starts with mean 0 and variance 1, in training mode.

        Args:
          num_channels: size of the last axis.
          initial_scale: 0 for the last one of a residual branch.
          use_bias: whether there is a trainable shift.
          dtype: type of the output; statistics are computed and kept in float32.
        """
        shape = (num_channels,)
        self.scale = nnx.Param(jnp.full(shape, initial_scale, jnp.float32))
        self.bias = nnx.data(None)
        if use_bias:
            self.bias = nnx.Param(jnp.zeros(shape, jnp.float32))
        self.mean = nnx.BatchStat(jnp.zeros(shape, jnp.float32))
        self.var = nnx.BatchStat(jnp.ones(shape, jnp.float32))
        self.dtype = dtype
        self.use_running_average = False

    def __call__(self, x: Float[Array, "*rows c"]) -> Float[Array, "*rows c"]:
        """Normalizes ``x`` over all axes but the last; of type ``dtype``."""
        x = x.astype(self.dtype)
        scale, bias = self.scale_and_bias()
        if self.use_running_average:
            slope = scale * jax.lax.rsqrt(self.var[...] + EPSILON)
            return _affine(x, slope, bias - self.mean[...] * slope)
        y, mean, variance = batch_norm(x, scale, bias, epsilon=EPSILON)
        self.record(mean, variance)
        return y

    def scale_and_bias(self) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
        """Returns the trainable scale and shift, float32 [c]; zeros for no shift."""
        scale = self.scale[...]
        return scale, jnp.zeros_like(scale) if self.bias is None else self.bias[...]

    def record(self, mean: Float[Array, " c"], variance: Float[Array, " c"]) -> None:
        """Moves the running statistics towards those of a batch, float32 [c]."""
        self.mean[...] = DECAY * self.mean[...] + (1 - DECAY) * mean
        self.var[...] = DECAY * self.var[...] + (1 - DECAY) * variance

    def set_view(self, use_running_average: bool | None = None) -> None:
        """Class method used by ``nnx.view``.

        Args:
          use_running_average: whether the running statistics are used, and kept.
        """
        if use_running_average is not None:
            self.use_running_average = use_running_average


def batch_norm(
    x: Float[Array, "*rows c"],
    scale: Float[Array, " c"],
    bias: Float[Array, " c"],
    *,
    epsilon: float,
) -> tuple[Float[Array, "*rows c"], Float[Array, " c"], Float[Array, " c"]]:
    """Normalizes every channel over all other axes.

    ``(x - mean) / sqrt(variance + epsilon) * scale + bias``, in float32 whatever the
    type of ``x``, with ``variance = E[x^2] - E[x]^2``.

    Args:
      x: activations, shape [b h w c] or [b c].
      scale: float32, shape [c].
      bias: float32, shape [c].
      epsilon: added to the variance.

    Returns:
      The result, of the shape and type of ``x``; the mean and the biased variance of
      the batch, float32 [c], through which no gradient flows.
    """
    y, mean, variance = cast(Any, _batch_norm(epsilon, x, scale, bias))
    return y, jax.lax.stop_gradient(mean), jax.lax.stop_gradient(variance)


def moments(
    x: Float[Array, "*rows c"],
) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
    """Returns the mean and the biased variance over all axes but the last, float32."""
    wide = x.astype(jnp.float32)
    axes = tuple(range(x.ndim - 1))
    mean = wide.mean(axes)
    return mean, jnp.maximum((wide * wide).mean(axes) - mean * mean, 0.0)


def input_gradient(
    scale: Float[Array, " c"],
    mean: Float[Array, " c"],
    inverse: Float[Array, " c"],
    *,
    d_scale: Float[Array, " c"],
    d_bias: Float[Array, " c"],
    count: float,
) -> tuple[Float[Array, " c"], Float[Array, " c"], Float[Array, " c"]]:
    """Returns what makes the gradient of the input x from that of the result, g.

    ``scale * inverse * (g - E[g] - x_hat E[g x_hat])`` without a temporary of the size
    of x.

    Args:
      scale: float32, shape [c].
      mean: of the batch, float32, shape [c].
      inverse: ``1 / sqrt(variance + epsilon)`` of the batch, float32, shape [c].
      d_scale: gradient of the scale, ``sum(g x_hat)``.
      d_bias: gradient of the bias, ``sum(g)``.
      count: how many values each statistic was taken over.

    Returns:
      ``(slope, a, b)``, float32 [c] each: the gradient is ``slope * g + a * x + b``.
    """
    slope = scale * inverse
    a = -slope * inverse * d_scale / count
    return slope, a, -slope * d_bias / count - a * mean


def _forward(epsilon, x, scale, bias) -> tuple[tuple, tuple]:
    mean, variance = moments(x)
    inverse = jax.lax.rsqrt(variance + epsilon)
    slope = scale * inverse
    y = _affine(x, slope, bias - mean * slope)
    return (y, mean, variance), (x, scale, mean, inverse)


def _backward(epsilon, residuals, cotangents):
    x, scale, mean, inverse = residuals
    wide, g = x.astype(jnp.float32), cotangents[0].astype(jnp.float32)
    axes = tuple(range(x.ndim - 1))
    count = float(x.size // x.shape[-1])  # an int would have to fit 32 bits
    d_bias = g.sum(axes)
    d_scale = ((g * wide).sum(axes) - mean * d_bias) * inverse
    slope, a, b = input_gradient(
        scale, mean, inverse, d_scale=d_scale, d_bias=d_bias, count=count
    )
    dx = _like(slope, x) * g + _like(a, x) * wide + _like(b, x)
    return dx.astype(x.dtype), d_scale, d_bias


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _batch_norm(epsilon, x, scale, bias):
    return _forward(epsilon, x, scale, bias)[0]


_batch_norm.defvjp(_forward, _backward)


def _affine(x, slope, shift):
    return (x.astype(jnp.float32) * _like(slope, x) + _like(shift, x)).astype(x.dtype)


def _like(vector, x):
    """Gives a vector [c] the rank of ``x``."""
    return vector.reshape((1,) * (x.ndim - 1) + vector.shape)
