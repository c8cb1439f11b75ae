"""Reductions over a similarity matrix that is only ever held one tile at a time.

Two schedules visit the tiles of ``S = x x^T``:

* square: every row block against every column block. Rows and columns may differ, so
  this is what one of several devices runs. Value and gradient take three products of
  n^2 d, as in the dense form.
* symmetric: the tiles on and above the diagonal; the mirrored tile is served by the
  same numbers. Two products of n^2 d, and half the exponentials.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp

from simclr_jax.losses import blocks, tiles

_PADDING = {"x": 0.0, "image": -1, "weight": 0.0, "shift": 0.0}

_AnyBlock = TypeVar("_AnyBlock", tiles.Block, tiles.WeightedBlock)


def row_statistics(
    rows: tiles.Block,
    columns: tiles.Block,
    *,
    bound: float | None,
    tile_rows: int,
    distance_scale: jax.Array | None = None,
) -> tiles.RowStatistics:
    """Statistics of every row over all columns, by the square schedule.

    Args:
      rows: m rows.
      columns: n columns.
      bound: a number that no ``|S|`` exceeds, or None; see ``tiles.compute``.
      tile_rows: largest side of a tile.
      distance_scale: s of ``nearness``; None leaves out all but the log-sum-exp.

    Returns:
      The statistics of the m rows.
    """
    column_blocks = _split(columns, tile_rows)

    def one_block(block: tiles.Block) -> tiles.RowStatistics:
        def one_tile(other: tiles.Block) -> tiles.RowStatistics:
            return _read_tile(block, other, bound, distance_scale, axes=(1,))[0]

        return blocks.fold(one_tile, tiles.merge, column_blocks)

    statistics = blocks.map_blocks(one_block, _split(rows, tile_rows))
    return blocks.join(statistics, rows.image.shape[0])


def row_statistics_symmetric(
    rows: tiles.Block,
    *,
    bound: float,
    tile_rows: int,
    distance_scale: jax.Array | None = None,
) -> tiles.RowStatistics:
    """Statistics of every row over all rows, by the symmetric schedule.

    Args:
      rows: n rows.
      bound: as in ``row_statistics``, and never None.
      tile_rows: largest side of a tile.
      distance_scale: as in ``row_statistics``.

    Returns:
      The statistics of the n rows.
    """
    row_blocks = _split(rows, tile_rows)

    def on_diagonal(block: tiles.Block) -> tiles.RowStatistics:
        return _read_tile(block, block, bound, distance_scale, axes=(1,))[0]

    def visit(statistics: tiles.RowStatistics, pair: jax.Array):
        i, j = pair
        row, column = blocks.take(row_blocks, i), blocks.take(row_blocks, j)
        read = _read_tile(row, column, bound, distance_scale, axes=(1, 0))
        for index, new in zip(pair, read, strict=True):
            merged = tiles.merge(blocks.take(statistics, index), new)
            statistics = blocks.put(statistics, index, merged)
        return statistics, None

    statistics, _ = jax.lax.scan(
        visit,
        blocks.map_blocks(on_diagonal, row_blocks),
        blocks.pairs_above_diagonal(row_blocks),
    )
    return blocks.join(statistics, rows.image.shape[0])


def row_gradient(
    rows: tiles.WeightedBlock,
    columns: tiles.WeightedBlock,
    *,
    bound: float | None,
    tile_rows: int,
) -> jax.Array:
    """The product W x with W of ``tiles.weights``, by the square schedule.

    Args:
      rows: m rows.
      columns: n columns.
      bound: as in ``row_statistics``.
      tile_rows: largest side of a tile.

    Returns:
      ``sum_j W_ij x_j`` for the m rows, [m d].
    """
    column_blocks = _split(columns, tile_rows)

    def one_block(block: tiles.WeightedBlock) -> jax.Array:
        def one_tile(other: tiles.WeightedBlock) -> jax.Array:
            return tiles.matmul(_weights(block, other, bound), other.x)

        return blocks.fold(one_tile, jnp.add, column_blocks)

    gradient = blocks.map_blocks(one_block, _split(rows, tile_rows))
    return blocks.join(gradient, rows.image.shape[0])


def row_gradient_symmetric(
    rows: tiles.WeightedBlock, *, bound: float, tile_rows: int
) -> jax.Array:
    """The product W x over all rows, by the symmetric schedule.

    Args:
      rows: n rows.
      bound: as in ``row_statistics``, and never None.
      tile_rows: largest side of a tile.

    Returns:
      ``sum_j W_ij x_j`` for the n rows, [n d].
    """
    row_blocks = _split(rows, tile_rows)

    def on_diagonal(block: tiles.WeightedBlock) -> jax.Array:
        return tiles.matmul(_weights(block, block, bound), block.x)

    def visit(carry: tuple[jax.Array, jax.Array], pair: jax.Array):
        upper, lower = carry
        i, j = pair
        row, column = blocks.take(row_blocks, i), blocks.take(row_blocks, j)
        w = _weights(row, column, bound)
        to_row, to_column = tiles.matmul(w, column.x), tiles.matmul(row.x.T, w)
        upper = blocks.put(upper, i, blocks.take(upper, i) + to_row)
        lower = blocks.put(lower, j, blocks.take(lower, j) + to_column)
        return (upper, lower), None

    upper = blocks.map_blocks(on_diagonal, row_blocks)
    # The mirrored products are kept transposed, [k d t]: on XLA's CPU backend x^T W is
    # three times as fast as W^T x.
    lower = jnp.zeros_like(jnp.swapaxes(upper, 1, 2))
    pairs = blocks.pairs_above_diagonal(row_blocks)
    (upper, lower), _ = jax.lax.scan(visit, (upper, lower), pairs)
    return blocks.join(upper + jnp.swapaxes(lower, 1, 2), rows.image.shape[0])


def _split(rows: _AnyBlock, tile_rows: int) -> _AnyBlock:
    padding = type(rows)(*(_PADDING[name] for name in rows._fields))
    return blocks.split(rows, tile_rows, padding=padding)


def _read_tile(
    row: tiles.Block,
    column: tiles.Block,
    bound: float | None,
    distance_scale: jax.Array | None,
    *,
    axes: tuple[int, ...],
) -> tuple[tiles.RowStatistics, ...]:
    tile = tiles.compute(row, column, bound)
    nearness = None
    if distance_scale is not None:
        nearness = tiles.nearness(tile, row, column, distance_scale)
    return tuple(tiles.read(tile, axis=axis, nearness=nearness) for axis in axes)


def _weights(
    row: tiles.WeightedBlock, column: tiles.WeightedBlock, bound: float | None
) -> jax.Array:
    return tiles.weights(tiles.compute(row, column, bound), row, column, bound)
