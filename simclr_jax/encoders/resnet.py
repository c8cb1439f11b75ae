"""ResNet-18 to ResNet-200 with a width multiplier and two stems.

He et al. 2015, https://arxiv.org/abs/1512.03385, table 1, with the stride of a
bottleneck on its 3x3 convolution (known as v1.5). Two details follow the original
SimCLR code rather than torchvision: the first block of *every* group has a
convolutional shortcut, and max-pooling pads as "SAME" does.
"""

import typing
import warnings

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from simclr_jax.core import checks, errors, registry, types
from simclr_jax.nn import layers

BLOCKS_PER_GROUP = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
BOTTLENECK_DEPTHS = (50, 101, 152, 200)
BOTTLENECK_EXPANSION = 4

SMALL_IMAGE_LIMIT = 64
"""Images up to this height or width get the small-image stem by default, in pixels."""


@typing.final
class ResNet(nnx.Module):
    """ResNet; the features are the mean over positions of the last group.

    Attributes:
      feature_dim: ``512 * width`` for 18 and 34, ``2048 * width`` for the deeper ones.
      num_channels: channels of the images, the only part of their shape that is fixed.
      stem_name: ``"imagenet"`` or ``"small_image"``.

    Example:
      >>> from flax import nnx
      >>> from simclr_jax import encoders
      >>> encoder = nnx.eval_shape(
      ...     lambda: encoders.ResNet(18, image_shape=(32, 32, 3), rngs=nnx.Rngs(0))
      ... )
      >>> encoder.feature_dim, encoder.stem_name
      (512, 'small_image')
    """

    def __init__(
        self,
        depth: int,
        *,
        image_shape: tuple[int, int, int] | None = None,
        num_channels: int | None = None,
        width: int = 1,
        stem: str = "auto",
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Builds the encoder.

        Args:
          depth: 18, 34, 50, 101, 152 or 200.
          image_shape: (h, w, c) of the views that it will be trained on: the channels,
            and the size that determines ``stem="auto"``. Accepts images of any size.
          num_channels: c alone, instead of ``image_shape``; needs a ``stem`` by name.
          width: multiplies the channels of every stage, the stem's too.
          stem: ``"imagenet"`` (7x7 convolution of stride 2, then 3x3 max-pooling of
            stride 2), ``"small_image"`` (3x3 of stride 1, no pooling) or ``"auto"``:
            small_image up to 64 pixels.
          dtype: type of the activations; parameters and statistics are float32.
          rngs: source of the initial weights.

        Raises:
          UserError: if the depth, the stem or the width is not one of those, or there
            is neither an image shape nor a number of channels.
        """
        choices = {str(known): groups for known, groups in BLOCKS_PER_GROUP.items()}
        groups = registry.lookup("ResNet depth", str(depth), choices)
        checks.check_positive_int("width", width)
        options = {"dtype": dtype, "rngs": rngs}
        self.num_channels = _find_num_channels(image_shape, num_channels)
        self.stem_name = choose_stem(stem, image_shape)
        kernel_size, stride = (7, 2) if self.stem_name == "imagenet" else (3, 1)
        channels = 64 * width
        self.stem = layers.ConvNormReLU(
            self.num_channels, channels, kernel_size, stride=stride, **options
        )
        blocks_of_groups = []
        for index, num_blocks in enumerate(groups):
            base = 64 * width * 2**index
            is_bottleneck = depth in BOTTLENECK_DEPTHS
            out_channels = base * (BOTTLENECK_EXPANSION if is_bottleneck else 1)
            blocks = []
            for block_index in range(num_blocks):
                first = block_index == 0
                block = layers.ResidualBlock(
                    channels if first else out_channels,
                    out_channels,
                    bottleneck_channels=base if is_bottleneck else None,
                    stride=2 if first and index > 0 else 1,
                    use_projection=first,
                    **options,
                )
                blocks.append(block)
            blocks_of_groups.append(nnx.List(blocks))
            channels = out_channels
        self.groups = nnx.List(blocks_of_groups)
        self.feature_dim = channels

    def __call__(self, images: types.Images) -> types.Embedding:
        """Returns the features [b feature_dim] of images [b h w c] in [0, 1]."""
        return self.endpoints(images)["features"]

    def endpoints(self, images: types.Images) -> dict[str, Float[Array, "b ..."]]:
        """Returns the stages: ``stem``, ``group1`` to ``group4``, ``features``.

        Args:
          images: shape [b h w c], values in [0, 1].

        Returns:
          Arrays by name, in the order in which they are computed; ``features`` last.
        """
        layers.check_num_channels("resnet", images, self.num_channels)
        is_imagenet = self.stem_name == "imagenet"
        x = self.stem.pooled(images) if is_imagenet else self.stem(images)
        stages = {"stem": x}
        for number, blocks in enumerate(self.groups, start=1):
            for block in blocks:
                x = block(x)
            stages[f"group{number}"] = x
        mean = jnp.mean(x.astype(jnp.float32), axis=(1, 2))
        stages["features"] = mean.astype(x.dtype)
        return stages


def choose_stem(stem: str, image_shape: tuple[int, int, int] | None) -> str:
    """Returns the stem to build; warns if the choice does not suit the image size.

    Args:
      stem: ``"auto"``, ``"imagenet"`` or ``"small_image"``.
      image_shape: (h, w, c) of the views; None: any, and the stem is not ``"auto"``.

    Returns:
      ``"imagenet"`` or ``"small_image"``.

    Raises:
      UserError: if ``stem`` is unknown, or ``"auto"`` without a shape.
    """
    if image_shape is None:
        choices = {name: name for name in ("imagenet", "small_image")}
        if stem == "auto":
            raise errors.UserError(
                "stem='auto' depends on the size of the views and needs image_shape "
                "(h, w, c); got None. Set it, or a stem: imagenet or small_image."
            )
        return registry.lookup("stem", stem, choices)
    side = max(image_shape[:2])
    default = "small_image" if side <= SMALL_IMAGE_LIMIT else "imagenet"
    choices = {name: name for name in ("imagenet", "small_image")} | {"auto": default}
    chosen = registry.lookup("stem", stem, choices)
    if chosen == "imagenet" and side <= SMALL_IMAGE_LIMIT:
        warnings.warn(
            f"The imagenet stem shrinks {side}-pixel views to "
            f"{-(-side // 32)}x{-(-side // 32)} before the last average and costs "
            "about 10 points of accuracy on CIFAR-10; stem='small_image' is meant for "
            f"views up to {SMALL_IMAGE_LIMIT} pixels.",
            stacklevel=3,
        )
    if chosen == "small_image" and side >= 2 * SMALL_IMAGE_LIMIT:
        warnings.warn(
            f"The small_image stem keeps {side}-pixel views at full size, 16 times "
            "the work and memory of stem='imagenet'.",
            stacklevel=3,
        )
    return chosen


def _find_num_channels(image_shape, num_channels):
    """Returns the channels of the images, which either argument gives."""
    if num_channels is None and image_shape is None:
        raise errors.UserError(
            "resnet needs image_shape (h, w, c) of the views, or num_channels; got "
            "neither."
        )
    if num_channels is None:
        return image_shape[-1]
    checks.check_positive_int("num_channels", num_channels)
    if image_shape is not None and image_shape[-1] != num_channels:
        raise errors.UserError(
            f"image_shape {tuple(image_shape)} (h, w, c) has {image_shape[-1]} "
            f"channels and num_channels is {num_channels}; leave one of them out."
        )
    return num_channels
