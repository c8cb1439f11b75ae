"""Encoders: images [b h w c] in [0, 1] to features [b d].

An encoder is any ``nnx.Module`` with ``feature_dim`` and
``__call__(images) -> features``; it may take per-sample ``keys`` (see ``apply``), and
be made of ``Block`` parts (see ``nn.set_remat``).
"""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from simclr_jax.core import registry
from simclr_jax.encoders.calling import apply, takes_keys
from simclr_jax.encoders.convnet import ConvNet
from simclr_jax.encoders.resnet import BLOCKS_PER_GROUP, ResNet

__all__ = [
    "ENCODERS",
    "ConvNet",
    "ResNet",
    "Spec",
    "apply",
    "build",
    "takes_keys",
]

ENCODERS = registry.Registry(
    "encoder", supplied=("dtype", "image_shape", "num_channels", "rngs")
)
"""Every encoder: ``builder(*, image_shape, num_channels, dtype, rngs, **options)``, of
which a builder names what it needs."""

ENCODERS.register("convnet")(ConvNet)
for _depth in BLOCKS_PER_GROUP:
    ENCODERS.register(f"resnet{_depth}")(functools.partial(ResNet, _depth))


@dataclasses.dataclass(frozen=True)
class Spec:
    """Arguments an encoder was built with, sufficient to rebuild it.

    Attributes:
      name: a key of ``ENCODERS``.
      options: pairs (name, value).
      image_shape: (h, w, c) of the views that it was built for, or None.
      num_channels: c, where no shape was given, or None.
      dtype: type of the activations.

    Example:
      >>> from flax import nnx
      >>> from simclr_jax import encoders
      >>> encoder = encoders.build("convnet", image_shape=(8, 8, 1), rngs=nnx.Rngs(0))
      >>> encoder.spec.name, encoder.spec.image_shape
      ('convnet', (8, 8, 1))
    """

    name: str
    options: tuple[tuple[str, Any], ...]
    image_shape: tuple[int, int, int] | None
    num_channels: int | None
    dtype: str


def build(
    name: str,
    *,
    image_shape: tuple[int, int, int] | None = None,
    num_channels: int | None = None,
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
    **options: Any,
) -> Any:
    """Builds an encoder by name.

    Args:
      name: ``"convnet"`` or ``"resnet18"``, 34, 50, 101, 152, 200, or any name
        registered in ``ENCODERS``.
      image_shape: (h, w, c) of the views that it will be trained on. A ResNet takes its
        channels and its default stem from them, and then images of any size; the
        convnet takes images of that shape only.
      num_channels: c, for an encoder that needs no size; that of ``image_shape``
        where there is one.
      dtype: type of the activations; parameters and statistics are float32.
      rngs: source of the initial weights.
      **options: what the encoder's constructor takes, e.g. ``width=2``.

    Returns:
      A module with ``feature_dim`` that maps [b h w c] to [b feature_dim]; its
      attribute ``spec`` records the arguments.

    Raises:
      UserError: if the name or an option is unknown (lists the choices), or the encoder
        needs an image shape and there is none.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from simclr_jax import encoders
      >>> encoder = encoders.build("convnet", image_shape=(8, 8, 1), rngs=nnx.Rngs(0))
      >>> encoder(jnp.ones((2, 8, 8, 1))).shape
      (2, 256)
    """
    if image_shape is not None:
        height, width, num_channels = image_shape
        image_shape = (height, width, num_channels)
    encoder = ENCODERS.build(
        name,
        options,
        image_shape=image_shape,
        num_channels=num_channels,
        dtype=dtype,
        rngs=rngs,
    )
    chosen = tuple(sorted(options.items()))
    encoder.spec = Spec(name, chosen, image_shape, num_channels, jnp.dtype(dtype).name)
    return encoder
