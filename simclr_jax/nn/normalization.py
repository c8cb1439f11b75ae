"""BatchNorm with global-batch or group statistics and a memory-saving gradient.

Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167. ``nnx.BatchNorm`` gives the same
numbers; its gradient keeps ``x - mean`` beside ``x``, which on a CPU costs a tenth of a
training step, and it computes in the type of the activations.
"""

import functools
from typing import Any, cast, final

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from simclr_jax.core import checks
from simclr_jax.nn import moments

DECAY = 0.9
"""Share of the old running statistics that an update keeps (PyTorch: 0.1)."""

EPSILON = 1e-5


@final
class BatchNorm(nnx.Module):
    """BatchNorm: batch statistics in training, running statistics in evaluation.

    Under ``jax.jit`` with a sharded batch the statistics are those of the global batch,
    or of each of ``num_groups`` groups of its consecutive rows, see
    ``set_batch_norm_groups``. They are as accurate as a two-pass computation for any
    mean of a channel, see ``nn/moments.py``.

    Attributes:
      scale: float32, shape [c].
      bias: float32, shape [c], or None.
      mean: running mean, float32, shape [c].
      var: running (biased) variance, float32, shape [c].
      use_running_average: whether running statistics are used; set by ``nnx.view``.
      num_groups: groups of rows with statistics of their own; ``nnx.view`` or
        ``set_batch_norm_groups`` sets it.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import nn
      >>> norm = nn.BatchNorm(2)
      >>> norm(jnp.array([[0.0, 10.0], [2.0, 30.0]])).round(2)
      Array([[-1., -1.],
             [ 1.,  1.]], dtype=float32)
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
        self.num_groups = 1

    def __call__(self, x: Float[Array, "*rows c"]) -> Float[Array, "*rows c"]:
        """Normalizes ``x`` over all axes but the last; of type ``dtype``.

        Raises:
          UserError: in training, if ``num_groups`` does not divide the rows.
        """
        x = x.astype(self.dtype)
        scale, bias = self.scale_and_bias()
        mean = self.mean[...]
        if self.use_running_average:
            running = moments.Moments(mean, jnp.zeros_like(mean), self.var[...])
            slope = scale * jax.lax.rsqrt(running.variance + EPSILON)
            return moments.normalize(x, running, slope, bias)
        y, *statistics = batch_norm(
            x, scale, bias, epsilon=EPSILON, pivot=mean, num_groups=self.num_groups
        )
        self.record(*statistics)
        return y

    def scale_and_bias(self) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
        """Returns the trainable scale and shift, float32 [c]; zeros for no shift."""
        scale = self.scale[...]
        return scale, jnp.zeros_like(scale) if self.bias is None else self.bias[...]

    def record(self, mean: Float[Array, " c"], variance: Float[Array, " c"]) -> None:
        """Moves the running statistics towards ``mean`` and ``variance`` of a batch."""
        self.mean[...] = DECAY * self.mean[...] + (1 - DECAY) * mean
        self.var[...] = DECAY * self.var[...] + (1 - DECAY) * variance

    def set_view(
        self, use_running_average: bool | None = None, num_groups: int | None = None
    ) -> None:
        """Class method used by ``nnx.view``.

        Args:
          use_running_average: whether the running statistics are used, and kept.
          num_groups: groups of rows with statistics of their own, in training.
        """
        if use_running_average is not None:
            self.use_running_average = use_running_average
        if num_groups is not None:
            checks.check_positive_int("num_groups", num_groups)
            self.num_groups = num_groups


def set_batch_norm_groups(module: nnx.Module, num_groups: int) -> None:
    """Sets the number of statistics groups of every BatchNorm in a module.

    Group i of g holds the rows ``i * b / g`` to ``(i + 1) * b / g`` of the *global*
    batch, so the result does not depend on the number of devices; with a multiple of
    that number no statistics are exchanged. Each group is normalized by its own mean
    and variance. The running statistics move towards the mean over the groups of both,
    as if each group were a batch and their updates were averaged.

    ``nnx.view(module, num_groups=...)`` is the same for a second view of the module
    that shares its variables, and leaves the module as it is.

    Args:
      module: any module, such as an encoder or a head; changed in place.
      num_groups: 1 for the statistics of the whole batch.

    Raises:
      UserError: if ``num_groups`` is not a whole number above zero.

    Example:
      >>> from simclr_jax import nn
      >>> norm = nn.BatchNorm(2)
      >>> nn.set_batch_norm_groups(norm, 4)
      >>> norm.num_groups
      4
    """
    checks.check_positive_int("num_groups", num_groups)
    for _, part in nnx.iter_modules(module):
        if isinstance(part, BatchNorm):
            part.num_groups = num_groups


def batch_norm(
    x: Float[Array, "*rows c"],
    scale: Float[Array, " c"],
    bias: Float[Array, " c"],
    *,
    epsilon: float,
    pivot: Float[Array, " c"] | None = None,
    num_groups: int = 1,
) -> tuple[Float[Array, "*rows c"], Float[Array, " c"], Float[Array, " c"]]:
    """Normalizes every channel over all other axes.

    ``(x - mean) / sqrt(variance + epsilon) * scale + bias``, in float32 whatever the
    type of ``x``.

    Args:
      x: activations, shape [b h w c] or [b c].
      scale: float32, shape [c].
      bias: float32, shape [c].
      epsilon: added to the variance.
      pivot: estimate of the mean, such as the running mean, float32, shape [c]. A close
        one saves time; it affects the result by rounding only. None: 0.
      num_groups: groups of consecutive rows with statistics of their own.

    Returns:
      The result, of the shape and type of ``x``; the mean and the biased variance of
      the batch (averaged over the groups), float32 [c], through which no gradient
      flows.

    Raises:
      UserError: if ``num_groups`` does not divide the rows.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import nn
      >>> x, one = jnp.array([[0.0], [2.0]]), jnp.ones(1)
      >>> y, mean, variance = nn.batch_norm(x, one, 0 * one, epsilon=1e-5)
      >>> mean, variance
      (Array([1.], dtype=float32), Array([1.], dtype=float32))
    """
    grouped = x
    pivot = jnp.zeros_like(scale) if pivot is None else pivot
    if num_groups > 1:
        grouped = _split_groups(x, num_groups)
        scale, bias, pivot = (
            jnp.broadcast_to(vector, (num_groups, x.shape[-1]))
            for vector in (scale, bias, pivot)
        )
    y, *statistics = cast(Any, _batch_norm(epsilon, grouped, scale, bias, pivot))
    if num_groups > 1:
        statistics = [statistic.mean(0) for statistic in statistics]
    mean, variance = jax.lax.stop_gradient(statistics)
    return y.reshape(x.shape), mean, variance


def input_gradient(
    scale: Float[Array, "*g c"],
    offset: Float[Array, "*g c"],
    inverse: Float[Array, "*g c"],
    *,
    d_scale: Float[Array, "*g c"],
    d_bias: Float[Array, "*g c"],
    count: float,
) -> tuple[Float[Array, "*g c"], Float[Array, "*g c"], Float[Array, "*g c"]]:
    """Returns the coefficients that map the output gradient g to the input gradient.

    ``scale * inverse * (g - E[g] - x_hat E[g x_hat])`` without a temporary of the size
    of x.

    Args:
      scale: float32, shape [*g c].
      offset: the mean of the batch less a pivot, float32, shape [*g c].
      inverse: ``1 / sqrt(variance + epsilon)`` of the batch, float32, shape [*g c].
      d_scale: gradient of the scale, ``sum(g x_hat)``.
      d_bias: gradient of the bias, ``sum(g)``.
      count: number of values in each statistic.

    Returns:
      ``(slope, a, b)``, float32 [*g c] each: the gradient is
      ``slope * g + a * (x - pivot) + b``.
    """
    slope = scale * inverse
    a = -slope * inverse * d_scale / count
    return slope, a, -slope * d_bias / count - a * offset


def _split_groups(x, num_groups):
    """Returns x [b ... c] as [g b/g ... c]."""
    rows = x.shape[0]
    lower = rows // num_groups * num_groups
    near = " or ".join(str(n) for n in (lower, lower + num_groups) if n)
    checks.check_divisible(
        f"The number of rows for BatchNorm with {num_groups} groups",
        rows,
        by=num_groups,
        remedy=f"Use {near} rows, or other groups.",
    )
    return x.reshape(num_groups, rows // num_groups, *x.shape[1:])


def _forward(epsilon, x, scale, bias, pivot) -> tuple[tuple, tuple]:
    found = moments.moments(x, pivot, epsilon=epsilon)
    inverse = jax.lax.rsqrt(found.variance + epsilon)
    y = moments.normalize(x, found, scale * inverse, bias)
    return (y, found.mean, found.variance), (x, scale, found, inverse)


def _backward(epsilon, residuals, cotangents):
    x, scale, found, inverse = residuals
    g = cotangents[0].astype(jnp.float32)
    wide, minus_pivot = x.astype(jnp.float32), moments.like(-found.pivot, x)
    axes = moments.row_axes(scale, x)
    count = float(x.size // scale.size)  # an int would have to fit 32 bits
    d_bias = g.sum(axes)
    # Not written as x - pivot as in the forward pass, since XLA on a CPU materializes
    # what a reduction shares with other operations.
    total = (g * (wide + minus_pivot)).sum(axes)
    d_scale = (total - found.offset * d_bias) * inverse
    vectors = input_gradient(
        scale, found.offset, inverse, d_scale=d_scale, d_bias=d_bias, count=count
    )
    slope, a, b = (moments.like(vector, x) for vector in vectors)
    dx = slope * g + a * wide + (b + a * minus_pivot)
    return dx.astype(x.dtype), d_scale, d_bias, jnp.zeros_like(scale)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _batch_norm(epsilon, x, scale, bias, pivot):
    return _forward(epsilon, x, scale, bias, pivot)[0]


_batch_norm.defvjp(_forward, _backward)
