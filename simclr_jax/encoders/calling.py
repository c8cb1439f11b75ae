"""Calls of encoders, with one key per image if the encoder accepts keys.

An encoder that draws random numbers in training, for dropout or drop path, takes a
keyword ``keys``: one PRNG key for each image, or None for no randomness (evaluation).
The random numbers for an image must depend only on the key of that image, e.g. by
``jax.vmap`` over the keys. The result is then independent of devices and
micro-batches.
"""

import inspect
from typing import Any

import jax

from simclr_jax.core import types


def apply(
    encoder: Any, images: types.Images, *, keys: jax.Array | None = None
) -> types.Embedding:
    """Returns the features of images; passes the keys on if the encoder accepts them.

    Args:
      encoder: maps images [b h w c] to features [b d]; its ``__call__`` may take a
        keyword ``keys``.
      images: shape [b h w c], values in [0, 1].
      keys: typed PRNG keys, shape [b], one for each image; None: no randomness.

    Returns:
      The features, shape [b d].

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import encoders
      >>> def encoder(images):
      ...     return images.mean((1, 2))
      >>> encoders.apply(encoder, jnp.ones((2, 8, 8, 3))).shape
      (2, 3)
    """
    if takes_keys(encoder):
        return encoder(images, keys=keys)
    return encoder(images)


def takes_keys(encoder: Any) -> bool:
    """Returns whether an encoder accepts the keyword argument ``keys``.

    Args:
      encoder: a module or a function of images.

    Returns:
      True if ``apply`` passes keys to it.

    Example:
      >>> from simclr_jax import encoders
      >>> encoders.takes_keys(lambda images, *, keys=None: images)
      True
    """
    parameter = inspect.signature(encoder).parameters.get("keys")
    return parameter is not None and parameter.kind in (
        parameter.KEYWORD_ONLY,
        parameter.POSITIONAL_OR_KEYWORD,
    )
