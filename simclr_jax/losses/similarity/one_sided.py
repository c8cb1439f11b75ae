"""Tiled reductions of a similarity matrix over its columns.

Every block of rows is compared with every block of columns. Rows and columns may
differ, so that one of several devices can run this for its own rows. Value and gradient
take three products of m n d, as in the dense form.
"""

import jax
import jax.numpy as jnp

from simclr_jax.losses.similarity import blocks, statistics, tiles


def row_statistics(
    rows: tiles.Block,
    columns: tiles.Block,
    *,
    bound: float | None,
    tile_rows: int,
    distance_scale: jax.Array | None = None,
) -> statistics.RowStatistics:
    """Computes the statistics of every row over all columns.

    Args:
      rows: m rows.
      columns: n columns.
      bound: upper bound on ``|S|``, or None; see ``tiles.compute``.
      tile_rows: largest side of a tile.
      distance_scale: s of ``Observed.nearness``; None: ``observed`` is not computed.

    Returns:
      The statistics of the m rows.
    """
    column_blocks = tiles.split(columns, tile_rows)

    def one_block(block: tiles.Block) -> statistics.RowStatistics:
        def one_tile(other: tiles.Block) -> statistics.RowStatistics:
            tile = tiles.compute(block, other, bound)
            return statistics.read(tile, block, other, distance_scale=distance_scale)[0]

        return blocks.fold(one_tile, statistics.merge, column_blocks)

    found = blocks.map_blocks(one_block, tiles.split(rows, tile_rows))
    return blocks.join(found, rows.id.shape[0])


def row_gradient(
    rows: tiles.WeightedBlock,
    columns: tiles.WeightedBlock,
    *,
    bound: float | None,
    tile_rows: int,
) -> jax.Array:
    """Computes the product W y with W of ``tiles.weights``.

    Args:
      rows: m rows.
      columns: n columns.
      bound: as in ``row_statistics``.
      tile_rows: largest side of a tile.

    Returns:
      ``sum_j W_ij y_j`` for the m rows, [m d].
    """
    column_blocks = tiles.split(columns, tile_rows)

    def one_block(block: tiles.WeightedBlock) -> jax.Array:
        def one_tile(other: tiles.WeightedBlock) -> jax.Array:
            tile = tiles.compute(block, other, bound)
            return tiles.matmul(tiles.weights(tile, block, other, bound), other.x)

        return blocks.fold(one_tile, jnp.add, column_blocks)

    gradient = blocks.map_blocks(one_block, tiles.split(rows, tile_rows))
    return blocks.join(gradient, rows.id.shape[0])
