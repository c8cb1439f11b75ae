"""Fused 1x1 convolution and BatchNorm that does not materialize the intermediate.

For ``c = x W`` the statistics of ``c`` follow from the few moments of ``x``,

    mean(c) = mean(x) W        var(c)_k = W_k^T Cov(x) W_k

and so does its gradient: with ``M = x^T g`` for the cotangent ``g`` of the result,
``sum(g c)_k = W_k^T M_k``. So the forward pass normalizes in the same pass as the
convolution, and the backward pass reads only ``x`` and ``g``. In a bottleneck, where x
has a quarter of the channels of c, this saves the largest array of the block, written
once and read four times. The result equals ``normalization.batch_norm`` after
``convolution.conv2d`` up to rounding.
"""

import functools
from typing import Any, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simclr_jax.core import checks, errors
from simclr_jax.nn import moments, normalization

_PIXELS = (0, 1, 2)

_MAX_DISTANCE = 3.0
"""Like ``moments.MAX_DISTANCE``, but larger: after a ReLU the means are not near 0."""


def pointwise_batch_norm(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "in_c d"],
    scale: Float[Array, " d"],
    bias: Float[Array, " d"],
    *,
    epsilon: float,
) -> tuple[Float[Array, "b h w d"], Float[Array, " d"], Float[Array, " d"]]:
    """Applies a 1x1 convolution followed by BatchNorm.

    Statistics are float32 whatever the type of ``x``. The batch may be sharded over a
    mesh; the statistics are those of the global batch.

    Args:
      x: images, shape [b, h, w, c].
      kernel: float32, shape [c, d]; multiplied in the type of ``x``.
      scale: float32, shape [d].
      bias: float32, shape [d].
      epsilon: added to the variance.

    Returns:
      The result, shape [b, h, w, d], of the type of ``x``; the mean and the biased
      variance of the batch, float32 [d], through which no gradient flows.

    Raises:
      UserError: if a rank or the channels do not fit.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import nn
      >>> x = jax.random.normal(jax.random.key(0), (2, 4, 4, 3))
      >>> kernel = jnp.ones((3, 8))
      >>> y, mean, variance = nn.pointwise_batch_norm(
      ...     x, kernel, jnp.ones(8), jnp.zeros(8), epsilon=1e-5
      ... )
      >>> y.shape
      (2, 4, 4, 8)
    """
    checks.check_rank("x", x, 4, shape="b h w c")
    checks.check_rank("kernel", kernel, 2, shape="c d")
    if x.shape[3] != kernel.shape[0]:
        raise errors.UserError(
            "pointwise_batch_norm needs a kernel [c d] with the channels c of the "
            f"images; got images {tuple(x.shape)} and kernel {tuple(kernel.shape)}."
        )
    y, mean, variance = cast(Any, _pointwise(epsilon, x, kernel, scale, bias))
    return y, jax.lax.stop_gradient(mean), jax.lax.stop_gradient(variance)


def _forward(epsilon, x, kernel, scale, bias) -> tuple[tuple, tuple]:
    kernel = kernel.astype(x.dtype).astype(jnp.float32)
    x_mean, covariance = _moments(x, kernel, epsilon)
    spread = _matmul(covariance, kernel)
    mean = _matmul(x_mean, kernel)
    variance = jnp.maximum((kernel * spread).sum(0), 0.0)
    inverse = jax.lax.rsqrt(variance + epsilon)
    slope = scale * inverse
    y = _convolve(x, kernel) * _like(slope) + _like(bias - mean * slope)
    residuals = (x, kernel, scale, x_mean, spread, mean, inverse)
    return (y.astype(x.dtype), mean, variance), residuals


def _backward(epsilon, residuals, cotangents):
    x, kernel, scale, x_mean, spread, mean, inverse = residuals
    g = cotangents[0]
    count = float(x.size // x.shape[-1])
    d_bias = g.astype(jnp.float32).sum(_PIXELS)
    product = _sum_of_outer(x, g) - jnp.outer(x_mean, d_bias)
    d_scale = (kernel * product).sum(0) * inverse
    # The gradient of c, which is not stored, is slope * g + a * c + b.
    slope, a, b = normalization.input_gradient(
        scale, mean, inverse, d_scale=d_scale, d_bias=d_bias, count=count
    )
    d_kernel = product * slope[None] + count * spread * a[None]
    through_g = _convolve(g, (kernel * slope[None]).T)
    through_c = _convolve(x, _matmul(kernel * a[None], kernel.T)).astype(x.dtype)
    dx = through_g + through_c.astype(jnp.float32) + _like(_matmul(kernel, b))
    return dx.astype(x.dtype), d_kernel, d_scale, d_bias


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _pointwise(epsilon, x, kernel, scale, bias):
    return _forward(epsilon, x, kernel, scale, bias)[0]


_pointwise.defvjp(_forward, _backward)


def _moments(x, kernel, epsilon):
    """Returns the mean [c] and the covariance [c c] of x, as ``moments.moments`` does.

    The covariance is computed about 0, and once more about the mean where the
    variances of the result would be too far off: the errors of its entries are of the
    size of the products of the means, and add up as random numbers do.
    """
    mean, covariance = _about(x)
    variance = (kernel * _matmul(covariance, kernel)).sum(0)
    size = jnp.sqrt(_matmul(jnp.square(mean), jnp.square(kernel)))

    @jax.named_scope(moments.SECOND_PASS)
    def again(x, mean, covariance):
        del covariance
        offset, covariance = _about(moments.center(x, mean))
        return mean + offset, covariance

    def keep(x, mean, covariance):
        del x
        return mean, covariance

    far = moments.is_far(size, variance, epsilon=epsilon, max_distance=_MAX_DISTANCE)
    return jax.lax.cond(far, again, keep, x, mean, covariance)


def _about(x):
    count = float(x.size // x.shape[-1])
    mean = x.astype(jnp.float32).sum(_PIXELS) / count
    return mean, _sum_of_outer(x, x) / count - jnp.outer(mean, mean)


def _convolve(x, kernel):
    """Returns ``x @ kernel`` in float32, with the kernel rounded to the type of x."""

    def product(x, kernel):
        return jnp.matmul(x, kernel, preferred_element_type=jnp.float32)

    def native(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel[None, None],
            (1, 1),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            preferred_element_type=jnp.float32,
        )

    # On TPUs a convolution needs less HBM traffic than a matrix product: 150 MB instead
    # of 162 MB per view, at 32 views per chip.
    kernel = kernel.astype(x.dtype)
    return jax.lax.platform_dependent(x, kernel, cpu=product, default=native)


def _sum_of_outer(x, g):
    """Returns the sum over all pixels of ``x^T g``, float32 [c d]."""

    def flat(x, g):
        # Flattened, since XLA on a CPU transposes g to sum over three axes.
        x, g = (array.astype(jnp.float32) for array in (x, g))
        return x.reshape(-1, x.shape[-1]).T @ g.reshape(-1, g.shape[-1])

    def native(x, g):
        return jax.lax.dot_general(
            x,
            g,
            ((_PIXELS, _PIXELS), ((), ())),
            precision=jax.lax.Precision.HIGHEST if x.dtype == jnp.float32 else None,
            preferred_element_type=jnp.float32,
        )

    return jax.lax.platform_dependent(x, g, cpu=flat, default=native)


def _matmul(a, b):
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _like(vector):
    """Gives a vector [c] the rank of images."""
    return vector[None, None, None, :]
