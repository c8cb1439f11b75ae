"""Trees of rows split into blocks of equal size, and loops over the blocks.

A single block is processed without a loop, so small inputs have no overhead.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

T = TypeVar("T")
U = TypeVar("U")

_ROW_MULTIPLE = 16  # float32 lanes of the widest CPU vector


def split(rows: T, block_rows: int, *, padding: object) -> T:
    """Splits every array [n ...] of a tree into blocks, [k t ...].

    The block size t is rounded up to whole SIMD vectors; padding is kept small.

    Args:
      rows: a tree of arrays with the same first axis.
      block_rows: largest block size t.
      padding: a tree of the same structure with the fill value of each array.

    Returns:
      The tree of blocks.
    """
    num_rows = jax.tree.leaves(rows)[0].shape[0]
    num_blocks = -(-num_rows // block_rows)
    size = -(-num_rows // num_blocks)
    if num_blocks > 1:
        size = min(-(-size // _ROW_MULTIPLE) * _ROW_MULTIPLE, block_rows)
    missing = num_blocks * size - num_rows

    def cut(x: jax.Array, fill: int | float) -> jax.Array:
        if missing:
            widths = [(0, missing)] + [(0, 0)] * (x.ndim - 1)
            x = jnp.pad(x, widths, constant_values=fill)
        return x.reshape(num_blocks, size, *x.shape[1:])

    return jax.tree.map(cut, rows, padding)


def join(row_blocks: T, num_rows: int) -> T:
    """Inverts ``split``: converts blocks [k t ...] to rows [n ...], without padding."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:num_rows], row_blocks)


def count(row_blocks: object) -> int:
    """Returns the number of blocks, k."""
    return jax.tree.leaves(row_blocks)[0].shape[0]


def take(row_blocks: T, index: int | jax.Array) -> T:
    """Returns the block at ``index``."""
    return jax.tree.map(
        lambda x: jax.lax.dynamic_index_in_dim(x, index, keepdims=False), row_blocks
    )


def put(row_blocks: T, index: jax.Array, block: T) -> T:
    """Returns the blocks with ``block`` at ``index``."""
    return jax.tree.map(
        lambda x, new: jax.lax.dynamic_update_index_in_dim(x, new, index, 0),
        row_blocks,
        block,
    )


def map_blocks(function: Callable[[T], U], row_blocks: T) -> U:
    """Applies ``function`` to each block in turn and stacks the results."""
    if count(row_blocks) == 1:
        return jax.tree.map(lambda x: x[None], function(take(row_blocks, 0)))
    return jax.lax.map(function, row_blocks)


def fold(function: Callable[[T], U], merge: Callable[[U, U], U], row_blocks: T) -> U:
    """Applies ``function`` to each block in turn and merges the results."""
    first = function(take(row_blocks, 0))
    if count(row_blocks) == 1:
        return first

    def visit(so_far: U, index: jax.Array) -> tuple[U, None]:
        return merge(so_far, function(take(row_blocks, index))), None

    rest = jnp.arange(1, count(row_blocks), dtype=jnp.int32)
    return jax.lax.scan(visit, first, rest)[0]


def pairs_above_diagonal(row_blocks: object) -> jax.Array:
    """Returns the indices (i, j) of all pairs of blocks with i < j, [pairs 2]."""
    i, j = np.triu_indices(count(row_blocks), k=1)
    return jnp.asarray(np.stack([i, j], axis=1), jnp.int32)


def all_pairs(row_blocks: object, column_blocks: object) -> jax.Array:
    """Returns the indices (i, j) of all pairs of blocks of two trees, [pairs 2]."""
    shape = count(row_blocks), count(column_blocks)
    return jnp.asarray(np.argwhere(np.ones(shape)), jnp.int32)
