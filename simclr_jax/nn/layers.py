"""Convolution layers and residual blocks shared by the encoders.

Parameters and running statistics are float32 always; ``dtype`` is the type that the
activations are computed in.
"""

import typing
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from simclr_jax.core import errors
from simclr_jax.nn import (
    convolution,
    normalization,
    pointwise,
    pooling,
    rematerialization,
)

CONVOLUTION_INIT = nnx.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")
"""As in the original implementation (LeCun's scale, not He's)."""


@typing.final
class Conv(nnx.Module):
    """2-d convolution without bias; every use is followed by BatchNorm.

    Attributes:
      kernel: float32, shape [kernel_size, kernel_size, in_channels, out_channels].

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from simclr_jax import nn
      >>> conv = nn.Conv(3, 8, kernel_size=3, rngs=nnx.Rngs(0))
      >>> conv(jnp.ones((1, 8, 8, 3))).shape
      (1, 8, 8, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Initializes the kernel by ``CONVOLUTION_INIT``.

        Args:
          in_channels: channels of the input.
          out_channels: channels of the output.
          kernel_size: height and width of the kernel, an odd number.
          stride: step of the kernel along both axes.
          dtype: type of the activations.
          rngs: source of the initial weights.
        """
        shape = (kernel_size, kernel_size, in_channels, out_channels)
        self.kernel = nnx.Param(CONVOLUTION_INIT(rngs.params(), shape, jnp.float32))
        self.stride = stride
        self.dtype = dtype

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        """Convolves with symmetric padding of ``kernel_size // 2`` on each side."""
        return self.apply(x, self.kernel[...])

    def apply(
        self, x: Float[Array, "b h w c"], kernel: Float[Array, "k k c c2"]
    ) -> Float[Array, "b h2 w2 c2"]:
        """Convolves with another kernel, such as a function of this layer's kernel."""
        margin = kernel.shape[0] // 2
        return convolution.conv2d(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            strides=(self.stride, self.stride),
            padding=((margin, margin), (margin, margin)),
        )


class ConvNormReLU(nnx.Module):
    """Convolution, BatchNorm and ReLU.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from simclr_jax import nn
      >>> layer = nn.ConvNormReLU(3, 8, kernel_size=3, rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 8, 8, 3))).shape
      (2, 8, 8, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Builds the three layers; arguments as for ``Conv``."""
        self.conv = Conv(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            dtype=dtype,
            rngs=rngs,
        )
        self.norm = normalization.BatchNorm(out_channels, dtype=dtype)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        """Applies convolution, BatchNorm and ReLU."""
        return jax.nn.relu(self.norm(self.conv(x)))

    def pooled(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h3 w3 c2"]:
        """Applies convolution, BatchNorm, ReLU and 3 x 3 max-pooling with stride 2."""
        if self.norm.use_running_average or self.norm.num_groups > 1:
            return pooling.max_pool_3x3(self(x))
        scale, bias = self.norm.scale_and_bias()
        # For a channel of negative scale, kernel and scale change sign. The result is
        # the same, and its maxima can be computed before the normalization.
        sign = jax.lax.stop_gradient(jnp.where(scale < 0, -1.0, 1.0))
        y, mean, variance = pooling.batch_norm_max_pool(
            self.conv.apply(x, self.conv.kernel[...] * sign[None, None, None, :]),
            scale * sign,
            bias,
            epsilon=normalization.EPSILON,
            pivot=self.norm.mean[...] * sign,
        )
        self.norm.record(mean * sign, variance)
        return jax.nn.relu(y)


@typing.final
class ResidualBlock(rematerialization.Block):
    """Residual block of two or three convolutions, with the ReLU after the sum.

    The basic block has two 3x3 convolutions; the bottleneck 1x1, 3x3, 1x1. The stride
    is on the (first) 3x3. By default the scale of the last BatchNorm starts at zero, so
    that the block is initially its shortcut (Goyal et al. 2017, section 5.1).

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from simclr_jax import nn
      >>> options = {"stride": 2, "use_projection": True}
      >>> block = nn.ResidualBlock(4, 8, **options, rngs=nnx.Rngs(0))
      >>> block(jnp.ones((2, 8, 8, 4))).shape
      (2, 4, 4, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        bottleneck_channels: int | None = None,
        stride: int = 1,
        use_projection: bool = False,
        last_scale: float = 0.0,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Builds the branch and, if requested, a 1x1 convolution as shortcut.

        Args:
          in_channels: channels of the input.
          out_channels: channels of the output.
          bottleneck_channels: channels of the 3x3 convolution; None: a basic block.
          stride: step of the 3x3 convolution and of the projection.
          use_projection: whether the shortcut is a convolution; else the identity.
          last_scale: initial scale of the last BatchNorm.
          dtype: type of the activations.
          rngs: source of the initial weights.
        """
        options = {"dtype": dtype, "rngs": rngs}
        if bottleneck_channels is None:
            layers: Sequence[ConvNormReLU] = [
                ConvNormReLU(in_channels, out_channels, 3, stride=stride, **options)
            ]
            self.last_conv = Conv(out_channels, out_channels, 3, **options)
        else:
            width = bottleneck_channels
            layers = [
                ConvNormReLU(in_channels, width, 1, **options),
                ConvNormReLU(width, width, 3, stride=stride, **options),
            ]
            self.last_conv = Conv(width, out_channels, 1, **options)
        self.layers = nnx.List(layers)
        self.last_norm = normalization.BatchNorm(
            out_channels, initial_scale=last_scale, dtype=dtype
        )
        self.projection = nnx.data(None)
        if use_projection:
            self.projection = Conv(
                in_channels, out_channels, 1, stride=stride, **options
            )
            self.projection_norm = normalization.BatchNorm(out_channels, dtype=dtype)

    def forward(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        """Returns ``relu(shortcut(x) + branch(x))``."""
        shortcut = x
        if self.projection is not None:
            shortcut = _normalize(self.projection_norm, self.projection, x)
        for layer in self.layers:
            x = layer(x)
        return jax.nn.relu(shortcut + _normalize(self.last_norm, self.last_conv, x))


def _normalize(norm, conv, x):
    """Returns ``norm(conv(x))``, fused where that saves memory traffic."""
    kernel = conv.kernel[...]
    is_pointwise = kernel.shape[:2] == (1, 1) and conv.stride == 1
    if norm.use_running_average or norm.num_groups > 1 or not is_pointwise:
        return norm(conv(x))
    y, mean, variance = pointwise.pointwise_batch_norm(
        x.astype(conv.dtype),
        kernel[0, 0],
        *norm.scale_and_bias(),
        epsilon=normalization.EPSILON,
    )
    norm.record(mean, variance)
    return y


def check_num_channels(
    name: str, images: Float[Array, "b h w c"], expected: int
) -> None:
    """Raises unless the images have the channels that the encoder was built for."""
    if images.shape[-1] != expected:
        raise errors.UserError(
            f"{name} was built for images of {expected} channels; got images of shape "
            f"{tuple(images.shape)} [b h w c]. Convert them, or build it for "
            f"{images.shape[-1]} channels."
        )


def check_image_shape(
    name: str, images: Float[Array, "b h w c"], expected: tuple[int, int, int]
) -> None:
    """Raises unless each image has the shape that the encoder was built for."""
    if tuple(images.shape[1:]) != tuple(expected):
        raise errors.UserError(
            f"{name} was built for images of shape {tuple(expected)} (h, w, c); got "
            f"{tuple(images.shape[1:])}. Resize them, or build it for that shape."
        )
