"""Encoders: images [b h w c] in [0, 1] to features [b d]."""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from simclr_jax.core import registry
from simclr_jax.encoders.convnet import ConvNet
from simclr_jax.encoders.rematerialization import REMAT, set_remat
from simclr_jax.encoders.resnet import BLOCKS_PER_GROUP, ResNet

__all__ = ["ENCODERS", "REMAT", "ConvNet", "ResNet", "Spec", "build", "set_remat"]

ENCODERS = registry.Registry("encoder", supplied=("dtype", "image_shape", "rngs"))
"""Every encoder: ``builder(*, image_shape, rngs, dtype, **options)``."""

ENCODERS.register("convnet")(ConvNet)
for _depth in BLOCKS_PER_GROUP:
    ENCODERS.register(f"resnet{_depth}")(functools.partial(ResNet, _depth))


def build(
    name: str,
    *,
    image_shape: tuple[int, int, int],
    rngs: nnx.Rngs,
    dtype: DTypeLike = jnp.float32,
    **options: Any,
) -> Any:
    """Builds an encoder by name.

    Args:
      name: ``"convnet"`` or ``"resnet18"``, 34, 50, 101, 152, 200, or what else was
        registered in ``ENCODERS``.
      image_shape: (h, w, c) of the views that it will see.
      rngs: source of the initial weights.
      dtype: type of the activations.
      **options: what the encoder's constructor takes, e.g. ``width=2``.

    Returns:
      A module with ``feature_dim`` that maps [b h w c] to [b feature_dim].

    Raises:
      UserError: if the name or an option is unknown; lists the choices.
    """
    encoder = ENCODERS.build(
        name, options, image_shape=tuple(image_shape), dtype=dtype, rngs=rngs
    )
    encoder.spec = Spec(
        name, tuple(sorted(options.items())), tuple(image_shape), jnp.dtype(dtype).name
    )
    return encoder


@dataclasses.dataclass(frozen=True)
class Spec:
    """What an encoder was built from: enough to build it again.

    Attributes:
      name: a key of ``ENCODERS``.
      options: pairs (name, value).
      image_shape: (h, w, c) of the views that it was built for.
      dtype: type of the activations.
    """

    name: str
    options: tuple[tuple[str, Any], ...]
    image_shape: tuple[int, int, int]
    dtype: str
