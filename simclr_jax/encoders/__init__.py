"""Encoders: images [b h w c] in [0, 1] to features [b d]."""

import inspect
from typing import Any

from flax import nnx

from simclr_jax.core import errors, registry
from simclr_jax.encoders.convnet import ConvNet
from simclr_jax.encoders.rematerialization import REMAT
from simclr_jax.encoders.resnet import BLOCKS_PER_GROUP, ResNet

__all__ = ["ENCODERS", "REMAT", "ConvNet", "ResNet", "build"]

ENCODERS: dict[str, tuple[Any, tuple]] = {"convnet": (ConvNet, ())} | {
    f"resnet{depth}": (ResNet, (depth,)) for depth in BLOCKS_PER_GROUP
}
"""Every name that ``build`` knows: the class and its positional arguments."""


def build(
    name: str, *, image_shape: tuple[int, int, int], rngs: nnx.Rngs, **options
) -> Any:
    """Builds an encoder by name.

    Args:
      name: ``"convnet"`` or ``"resnet18"``, 34, 50, 101, 152, 200.
      image_shape: (h, w, c) of the views that it will see.
      rngs: source of the initial weights.
      **options: what the encoder's constructor takes, e.g. ``width=2``.

    Returns:
      A module with ``feature_dim`` that maps [b h w c] to [b feature_dim].

    Raises:
      UserError: if the name or an option is unknown; lists the choices.
    """
    encoder, positional = registry.lookup("encoder", name, ENCODERS)
    parameters = inspect.signature(encoder.__init__).parameters.values()
    keywords = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    choices = keywords - {"image_shape", "rngs"}
    for option in options:
        if option not in choices:
            kind = f"option of encoder {name!r}:"
            raise errors.UserError(registry.unknown_name(kind, option, choices))
    return encoder(*positional, image_shape=tuple(image_shape), rngs=rngs, **options)
