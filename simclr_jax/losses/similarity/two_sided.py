"""Tiled reductions of a similarity matrix along both axes of every tile.

The transpose of a tile of ``S = x y^T`` is a tile of ``y x^T``, so each tile is reduced
for the rows x and for the rows y. For a symmetric matrix only the tiles on and above
the diagonal are computed: value and gradient take two products of n^2 d instead of
three, and half the exponentials. The exponential of a tile can be shared by both sides
only if all rows have the same shift, so these functions require a bound on ``|S|``.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

from simclr_jax.losses.similarity import blocks, statistics, tiles

T = TypeVar("T")
U = TypeVar("U")


def row_statistics(
    rows: tiles.Block,
    *,
    bound: float,
    tile_rows: int,
    distance_scale: jax.Array | None = None,
) -> statistics.RowStatistics:
    """Computes the statistics of every row over all rows.

    Args:
      rows: n rows.
      bound: upper bound on ``|S|``, at most ``tiles.LARGEST_BOUND``.
      tile_rows: largest side of a tile.
      distance_scale: s of ``Observed.nearness``; None: ``observed`` is not computed.

    Returns:
      The statistics of the n rows.
    """
    row_blocks = tiles.split(rows, tile_rows)

    def on_diagonal(block: tiles.Block) -> statistics.RowStatistics:
        tile = tiles.compute(block, block, bound)
        return statistics.read(tile, block, block, distance_scale=distance_scale)[0]

    upper, lower = _visit(
        _reader(bound, distance_scale),
        statistics.merge,
        (row_blocks, row_blocks),
        blocks.pairs_above_diagonal(row_blocks),
        (
            blocks.map_blocks(on_diagonal, row_blocks),
            statistics.none(row_blocks, distance_scale=distance_scale),
        ),
    )
    return blocks.join(statistics.merge(upper, lower), rows.id.shape[0])


def statistics_of_both(
    rows: tiles.Block,
    columns: tiles.Block,
    *,
    bound: float,
    tile_rows: int,
    distance_scale: jax.Array | None = None,
) -> tuple[statistics.RowStatistics, statistics.RowStatistics]:
    """Computes the statistics of rows over all columns and of columns over all rows.

    Args:
      rows: m rows.
      columns: n columns.
      bound: as in ``row_statistics``.
      tile_rows: largest side of a tile.
      distance_scale: as in ``row_statistics``.

    Returns:
      The statistics of the m rows and those of the n columns.
    """
    sides = tiles.split(rows, tile_rows), tiles.split(columns, tile_rows)
    none, none_of_columns = (
        statistics.none(side, distance_scale=distance_scale) for side in sides
    )
    of_rows, of_columns = _visit(
        _reader(bound, distance_scale),
        statistics.merge,
        sides,
        blocks.all_pairs(*sides),
        (none, none_of_columns),
    )
    return (
        blocks.join(of_rows, rows.id.shape[0]),
        blocks.join(of_columns, columns.id.shape[0]),
    )


def row_gradient(
    rows: tiles.WeightedBlock, *, bound: float, tile_rows: int
) -> jax.Array:
    """Computes the product W x over all rows, with W of ``tiles.weights``.

    Args:
      rows: n rows.
      bound: as in ``row_statistics``.
      tile_rows: largest side of a tile.

    Returns:
      ``sum_j W_ij x_j`` for the n rows, [n d].
    """
    row_blocks = tiles.split(rows, tile_rows)

    def on_diagonal(block: tiles.WeightedBlock) -> jax.Array:
        tile = tiles.compute(block, block, bound)
        return tiles.matmul(tiles.weights(tile, block, block, bound), block.x)

    upper, lower = _visit(
        _multiplier(bound),
        jnp.add,
        (row_blocks, row_blocks),
        blocks.pairs_above_diagonal(row_blocks),
        (blocks.map_blocks(on_diagonal, row_blocks), _transposed_zeros(row_blocks)),
    )
    return blocks.join(upper + jnp.swapaxes(lower, 1, 2), rows.id.shape[0])


def gradients_of_both(
    rows: tiles.WeightedBlock,
    columns: tiles.WeightedBlock,
    *,
    bound: float,
    tile_rows: int,
) -> tuple[jax.Array, jax.Array]:
    """Computes W y and W^T x for rows x and columns y, with W of ``tiles.weights``.

    Args:
      rows: m rows.
      columns: n columns.
      bound: as in ``row_statistics``.
      tile_rows: largest side of a tile.

    Returns:
      ``sum_j W_ij y_j`` for the m rows, [m d], and ``sum_i W_ij x_i`` for the n
      columns, [n d].
    """
    sides = tiles.split(rows, tile_rows), tiles.split(columns, tile_rows)
    to_rows, to_columns = _visit(
        _multiplier(bound),
        jnp.add,
        sides,
        blocks.all_pairs(*sides),
        (jnp.zeros_like(sides[0].x), _transposed_zeros(sides[1])),
    )
    return (
        blocks.join(to_rows, rows.id.shape[0]),
        blocks.join(jnp.swapaxes(to_columns, 1, 2), columns.id.shape[0]),
    )


def _reader(bound, distance_scale):
    def read(row: tiles.Block, column: tiles.Block):
        tile = tiles.compute(row, column, bound)
        of_row, of_column = statistics.read(
            tile, row, column, distance_scale=distance_scale, axes=(1, 0)
        )
        return of_row, of_column

    return read


def _multiplier(bound):
    def multiply(row: tiles.WeightedBlock, column: tiles.WeightedBlock):
        w = tiles.weights(tiles.compute(row, column, bound), row, column, bound)
        return tiles.matmul(w, column.x), tiles.matmul(row.x.T, w)

    return multiply


def _transposed_zeros(row_blocks):
    """Returns the initial sums of the products W^T x, stored transposed, [k d t].

    On XLA's CPU backend x^T W is three times as fast as W^T x.
    """
    return jnp.zeros_like(jnp.swapaxes(row_blocks.x, 1, 2))


def _visit(
    compare: Callable[[T, T], tuple[U, U]],
    merge: Callable[[U, U], U],
    sides: tuple[T, T],
    pairs: jax.Array,
    start: tuple[U, U],
) -> tuple[U, U]:
    """Merges the two results of ``compare`` for each pair into those of its blocks."""

    def visit(found: tuple[U, U], pair: jax.Array) -> tuple[tuple[U, U], None]:
        new = compare(blocks.take(sides[0], pair[0]), blocks.take(sides[1], pair[1]))
        of_rows, of_columns = (
            blocks.put(all_found, index, merge(blocks.take(all_found, index), one))
            for all_found, index, one in zip(found, pair, new, strict=True)
        )
        return (of_rows, of_columns), None

    return jax.lax.scan(visit, start, pairs)[0]
