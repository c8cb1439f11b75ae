"""Random keys: independent named streams, and one key for each image.

Every random number of a run is a function of (seed, stream, step, index of the image in
the global batch). Streams are separated first, so that no two uses share a key.
"""

import numbers

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from simclr_jax.core import errors, registry, types

STREAMS = {"init": 0, "data": 1, "views": 2, "evaluation": 3}
"""The number that ``stream`` folds into the seed for each use of random numbers."""

MAX_SEED = 2**32 - 1


def check_seed(seed: object) -> int:
    """Returns the seed if it is valid.

    Args:
      seed: a whole number from 0 to 2^32 - 1, in which every seed gives
        another key.

    Raises:
      UserError: if it is anything else.

    Example:
      >>> from simclr_jax.core import keys
      >>> keys.check_seed(42)
      42
    """
    is_whole = isinstance(seed, numbers.Integral) and not isinstance(seed, bool)
    if not is_whole or not 0 <= int(seed) <= MAX_SEED:  # pyright: ignore
        raise errors.UserError(
            f"seed must be a whole number from 0 to {MAX_SEED}; got {seed!r}."
        )
    return int(seed)  # pyright: ignore


def stream(seed: int, name: str) -> types.PRNGKey:
    """Returns the root key of a named stream.

    Args:
      seed: the seed of the run, from 0 to 2^32 - 1.
      name: a key of ``STREAMS``.

    Raises:
      UserError: if the seed is out of range or the name unknown.

    Example:
      >>> from simclr_jax.core import keys
      >>> keys.stream(0, "init") == keys.stream(0, "views")
      Array(False, dtype=bool)
    """
    number = registry.lookup("stream of random numbers", name, STREAMS)
    # As an array: a Python number above 2^31 - 1 would be truncated to int32.
    root = jax.random.key(jnp.uint32(check_seed(seed)))
    return jax.random.fold_in(root, number)


def sample_keys(key: types.PRNGKey, batch_size: int) -> Key[Array, " b"]:
    """Returns a key for each image of a batch: ``fold_in(key, i)`` for image i.

    Keys are made once for the global batch, so the key of an image does not depend on
    the number of devices or on micro-batches.

    Args:
      key: the key of the training step.
      batch_size: images in the global batch.

    Returns:
      Keys of shape [batch_size].

    Example:
      >>> import jax
      >>> from simclr_jax.core import keys
      >>> keys.sample_keys(jax.random.key(0), 4).shape
      (4,)
    """
    indices = jnp.arange(batch_size, dtype=jnp.int32)
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, indices)
