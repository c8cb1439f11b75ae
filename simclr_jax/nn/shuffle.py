"""Keyed shuffle of the rows of the global batch, and its inverse.

MoCo's key encoder normalizes groups of rows separately; rows are shuffled before it and
restored to their order after it, so that no query shares its statistics with its own
key (He et al. 2020, https://arxiv.org/abs/1911.05722, section 3.3). The order depends
only on the key and the number of rows, so it is the same on any number of devices.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Int

from simclr_jax.core import sharding, types

T = TypeVar("T")


def permutation(key: types.PRNGKey, num_rows: int) -> Int[Array, " b"]:
    """Returns a random order of ``num_rows`` rows, int32 [b].

    Args:
      key: PRNG key; the same key gives the same order.
      num_rows: number of rows.

    Returns:
      The index of the row at each position of the shuffled batch.
    """
    return jax.random.permutation(key, jnp.arange(num_rows, dtype=jnp.int32))


def shuffle_rows(key: types.PRNGKey, rows: T, *, mesh: Mesh | None = None) -> T:
    """Shuffles the leading axis of arrays.

    If the batch is split over devices, each device temporarily receives all rows.

    Args:
      key: PRNG key of the order, see ``permutation``.
      rows: a tree of arrays with one leading axis b.
      mesh: devices over whose axis ``data`` the result is split; None: XLA decides.

    Returns:
      The tree with shuffled rows.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import nn
      >>> key, rows = jax.random.key(0), jnp.arange(4)
      >>> nn.unshuffle_rows(key, nn.shuffle_rows(key, rows))
      Array([0, 1, 2, 3], dtype=int32)
    """
    return _take(rows, permutation(key, _num_rows(rows)), mesh)


def unshuffle_rows(key: types.PRNGKey, rows: T, *, mesh: Mesh | None = None) -> T:
    """Inverts ``shuffle_rows`` with the same key.

    Args:
      key: the key of the shuffle.
      rows: a tree of arrays with one leading axis b, such as the embeddings of
        shuffled images.
      mesh: as for ``shuffle_rows``.

    Returns:
      The tree in its original order.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import nn
      >>> key, rows = jax.random.key(1), jnp.arange(3)
      >>> nn.unshuffle_rows(key, nn.shuffle_rows(key, rows))
      Array([0, 1, 2], dtype=int32)
    """
    return _take(rows, jnp.argsort(permutation(key, _num_rows(rows))), mesh)


def _num_rows(rows):
    return jax.tree.leaves(rows)[0].shape[0]


def _take(rows, order, mesh):
    taken = jax.tree.map(lambda array: array[order], rows)
    return sharding.keep_split(taken, mesh)
