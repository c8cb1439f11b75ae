"""Calling an encoder with per-sample keys, where it takes any.

An encoder that draws random numbers in training, for dropout or drop path, takes a
keyword ``keys``: one PRNG key for each image, or None for no randomness (evaluation).
What it draws for an image must depend on the key of that image alone, as by
``jax.vmap`` over the keys; then the result does not depend on how a batch is laid out
over devices or micro-batches.
"""

import inspect
from typing import Any

import jax

from simclr_jax.core import types


def apply(
    encoder: Any, images: types.Images, *, keys: jax.Array | None = None
) -> types.Embedding:
    """Returns the features of images; hands the keys on if the encoder takes them.

    Args:
      encoder: maps images [b h w c] to features [b d]; its ``__call__`` may take a
        keyword ``keys``.
      images: shape [b h w c], values in [0, 1].
      keys: typed PRNG keys, shape [b], one for each image; None: no randomness.

    Returns:
      The features, shape [b d].
    """
    if takes_keys(encoder):
        return encoder(images, keys=keys)
    return encoder(images)


def takes_keys(encoder: Any) -> bool:
    """Returns whether an encoder names ``keys`` among its keyword arguments.

    Args:
      encoder: a module or a function of images.

    Returns:
      True if ``apply`` hands keys on to it.
    """
    parameter = inspect.signature(encoder).parameters.get("keys")
    return parameter is not None and parameter.kind in (
        parameter.KEYWORD_ONLY,
        parameter.POSITIONAL_OR_KEYWORD,
    )
