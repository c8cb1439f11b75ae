"""Tiles of a similarity matrix: masked logits, exponentials, gradient weights.

``S = x y^T`` are the logits of rows x and columns y, each with an integer id. Row i is
compared with the columns j whose id *differs* from its own; columns with equal id and
padding are masked. If rows and columns have labels, the columns with another id and an
equal label are the positives of the row.

Logits are shifted to keep ``exp`` in range. If a small bound on ``|S|`` is known, it is
the shift of all rows, and the exponentials of a tile are shared by its rows and its
columns. Otherwise the shift of a row is its largest logit.
"""

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from simclr_jax.losses.similarity import blocks

LARGEST_BOUND = 30.0
"""Largest bound on ``|S|`` that may be used as the shift. Sums stay above exp(-60), and
the weights of the backward pass, at most 1e26 / n, fit in float32 (3e38)."""

SMALLEST_LOGIT = -1e30
"""Stands in for -inf, so that a row without columns has a sum of 0 and not NaN."""


class Block(NamedTuple):
    """Rows or columns of the logits.

    Attributes:
      x: the rows, [n d] float32.
      id: rows and columns of equal id are not compared, [n] int32; -1 is padding.
      label: rows and columns of equal label are positives of each other, [n] int32;
        None if there are no positives.
    """

    x: jax.Array
    id: jax.Array
    label: jax.Array | None = None


class WeightedBlock(NamedTuple):
    """Rows or columns with the coefficients of ``weights``.

    Attributes:
      x: as in ``Block``.
      id: as in ``Block``.
      label: as in ``Block``.
      weight: w_i of ``weights``, [n]; None if all are zero.
      shift: c_i of ``weights``, [n]; unused if all rows share a bound.
      positive_weight: h_i of ``weights``, [n]; None if all are zero.
    """

    x: jax.Array
    id: jax.Array
    label: jax.Array | None = None
    weight: jax.Array | None = None
    shift: jax.Array | None = None
    positive_weight: jax.Array | None = None


AnyBlock = TypeVar("AnyBlock", Block, WeightedBlock)

_PADDING = {
    "x": 0.0,
    "id": -1,
    "label": -1,
    "weight": 0.0,
    "shift": 0.0,
    "positive_weight": 0.0,
}


class Tile(NamedTuple):
    """One tile of S and its exponentials.

    Attributes:
      keep: True where the ids differ and neither is padding, [t u] bool.
      positive: True where ``keep`` is and the labels are equal, [t u] bool; None
        without labels.
      s: the logits, -inf where ``keep`` is False, [t u].
      shift: the largest logit of each row, [t]; None if all rows share a bound.
      relative: ``S - shift``, [t u].
      exp: ``exp(S - shift)``, [t u].
    """

    keep: jax.Array
    positive: jax.Array | None
    s: jax.Array
    shift: jax.Array | None
    relative: jax.Array
    exp: jax.Array


def split(rows: AnyBlock, tile_rows: int) -> AnyBlock:
    """Splits rows into blocks of at most ``tile_rows``; see ``blocks.split``."""
    present = {name: x for name, x in rows._asdict().items() if x is not None}
    padding = type(rows)(**{name: _PADDING[name] for name in present})
    return blocks.split(rows, tile_rows, padding=padding)


def matmul(x: jax.Array, y: jax.Array) -> jax.Array:
    """Multiplies in full float32; GPUs and TPUs default to 10- or 7-bit mantissas."""
    return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)


def compute(
    rows: Block | WeightedBlock, columns: Block | WeightedBlock, bound: float | None
) -> Tile:
    """Computes the tile of a block of rows and a block of columns.

    Args:
      rows: t rows.
      columns: u columns.
      bound: upper bound on ``|S|``, at most ``LARGEST_BOUND``, or None.

    Returns:
      The tile, [t u].
    """
    row_id, column_id = rows.id[:, None], columns.id[None, :]
    keep = (row_id != column_id) & (row_id >= 0) & (column_id >= 0)
    # Masked before exp, so that a row's similarity to itself cannot overflow.
    s = jnp.where(keep, matmul(rows.x, columns.x.T), -jnp.inf)
    if bound is None:
        shift = largest(s, 1)
        relative = s - shift[:, None]
    else:
        shift = None
        relative = s - bound
    positive = _positive(rows, columns, keep)
    return Tile(keep, positive, s, shift, relative, jnp.exp(relative))


def weights(
    tile: Tile, rows: WeightedBlock, columns: WeightedBlock, bound: float | None
) -> jax.Array:
    """Returns the derivative of a loss with respect to the logits, W.

      W_ij = w_i exp(S_ij - c_i) + w_j exp(S_ij - c_j) + [j positive of i] (h_i + h_j)

    and 0 where the ids are equal. Terms of a side without weights are omitted.

    Args:
      tile: the tile of ``rows`` and ``columns``.
      rows: t rows.
      columns: u columns.
      bound: common value of all shifts c, or None.

    Returns:
      The weights, [t u].
    """
    if bound is not None:
        found = tile.exp * _of_pairs(rows.weight, columns.weight)
    else:
        found = _weights_by_own_shifts(tile.s, rows, columns)
    if tile.positive is None:
        return found
    pull = _of_pairs(rows.positive_weight, columns.positive_weight)
    return found + jnp.where(tile.positive, pull, 0.0)


def _weights_by_own_shifts(
    s: jax.Array, rows: WeightedBlock, columns: WeightedBlock
) -> jax.Array:
    found = jnp.zeros_like(s)
    if rows.weight is not None and rows.shift is not None:
        found += rows.weight[:, None] * jnp.exp(s - rows.shift[:, None])
    if columns.weight is not None and columns.shift is not None:
        found += columns.weight[None, :] * jnp.exp(s - columns.shift[None, :])
    return found


def _of_pairs(of_rows: jax.Array | None, of_columns: jax.Array | None) -> jax.Array:
    """Returns the sum of a row term and a column term for each pair, [t u]."""
    by_row = 0.0 if of_rows is None else of_rows[:, None]
    return by_row + (jnp.zeros((1, 1)) if of_columns is None else of_columns[None, :])


def _positive(rows, columns, keep):
    if rows.label is None or columns.label is None:
        return None
    return keep & (rows.label[:, None] == columns.label[None, :])


def largest(s: jax.Array, axis: int) -> jax.Array:
    """Returns the largest logits along an axis; finite even if all are masked."""
    return jnp.maximum(jnp.max(s, axis), SMALLEST_LOGIT)
