"""Small convolutional encoder for digits and thumbnails."""

import math
import typing

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from simclr_jax.core import errors, types
from simclr_jax.nn import convolution, layers, rematerialization


class _PooledLayer(rematerialization.Block, layers.ConvNormReLU):
    """Convolution, BatchNorm, ReLU and 2x2 max-pooling."""

    def forward(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        """Applies convolution, BatchNorm, ReLU and max-pooling."""
        return convolution.max_pool_2x2(layers.ConvNormReLU.__call__(self, x))


@typing.final
class ConvNet(nnx.Module):
    """Two convolutions with pooling, then two residual blocks; features flattened.

    3x3 convolution to 32 channels, BatchNorm, ReLU, 2x2 max-pooling; the same to 64
    channels; two basic residual blocks of 64 channels. The features are not averaged
    over positions: at this width, averaging costs 7 points of linear accuracy on MNIST.
    The last BatchNorm of a block starts at scale 1, not 0, since a run of a few hundred
    steps is too short for the blocks to depart from the identity.

    Attributes:
      feature_dim: ``h / 4 * w / 4 * 64``.
      image_shape: the (h, w, c) of the images; fixed, since features are not averaged.
      num_channels: c.

    Example:
      >>> from flax import nnx
      >>> from simclr_jax import encoders
      >>> encoders.ConvNet(image_shape=(24, 24, 1), rngs=nnx.Rngs(0)).feature_dim
      2304
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int] | None,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Builds the encoder.

        Args:
          image_shape: (h, w, c) of the views; h and w multiples of 4.
          dtype: type of the activations; parameters and statistics are float32.
          rngs: source of the initial weights.

        Raises:
          UserError: if h or w is not a multiple of 4.
        """
        if image_shape is None:
            raise errors.UserError(
                "convnet needs image_shape (h, w, c) of the views; got None."
            )
        height, width, channels = image_shape
        if height % 4 or width % 4:
            raise errors.UserError(
                "convnet halves the image twice, so its height and width must be "
                f"multiples of 4; got {height}x{width}. Set the size of the views to "
                f"{max(4, height // 4 * 4)}, or use a resnet."
            )
        options = {"dtype": dtype, "rngs": rngs}
        self.first = _PooledLayer(channels, 32, 3, **options)
        self.second = _PooledLayer(32, 64, 3, **options)
        self.blocks = nnx.List(
            [layers.ResidualBlock(64, 64, last_scale=1.0, **options) for _ in range(2)]
        )
        self.image_shape = image_shape
        self.num_channels = channels
        self.feature_dim = math.prod((height // 4, width // 4, 64))

    def __call__(self, images: types.Images) -> types.Embedding:
        """Returns the features [b feature_dim] of images [b h w c] in [0, 1]."""
        return self.endpoints(images)["features"]

    def endpoints(self, images: types.Images) -> dict[str, Float[Array, "b ..."]]:
        """Returns the stages: ``first``, ``second``, ``block1``, ..., ``features``.

        Args:
          images: shape [b h w c], values in [0, 1].

        Returns:
          Arrays by name, in the order in which they are computed; ``features`` last.
        """
        layers.check_image_shape("convnet", images, self.image_shape)
        stages = {}
        stages["first"] = self.first(images)
        x = stages["second"] = self.second(stages["first"])
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            stages[f"block{number}"] = x
        stages["features"] = x.reshape(x.shape[0], self.feature_dim)
        return stages
