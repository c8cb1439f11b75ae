"""One tile of a similarity matrix: what its rows read off it, and its gradient weights.

``S = x x^T`` are the logits of rows x, each row showing an image. Row i reads the
columns j of *other* images: itself, the other views of its image and padding are left
out.

Two shifts keep ``exp`` in range. Where the caller knows a small bound on ``|S|``, all
rows are shifted by it, and one exponential of the tile serves its rows and its columns.
Otherwise a row is shifted by its largest logit.
"""

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from simclr_jax.losses.similarity import blocks

LARGEST_BOUND = 30.0
"""Largest bound on ``|S|`` that may serve as the shift. Sums stay above exp(-60), and
the weights of the backward pass, up to 1e26 / n, have room in float32 (3e38)."""

_SMALLEST_LOGIT = -1e30  # finite, so that a row without columns gives 0 and not NaN


class Block(NamedTuple):
    """Rows of the logits.

    Attributes:
      x: the rows, [n d] float32.
      image: the image each row shows, [n] int32; -1 is padding.
    """

    x: jax.Array
    image: jax.Array


class WeightedBlock(NamedTuple):
    """Rows with what the gradient asks of them.

    Attributes:
      x: as in ``Block``.
      image: as in ``Block``.
      weight: w_i of ``weights``, [n].
      shift: c_i of ``weights``, [n]; not read where all rows share a bound.
    """

    x: jax.Array
    image: jax.Array
    weight: jax.Array
    shift: jax.Array


AnyBlock = TypeVar("AnyBlock", Block, WeightedBlock)

_PADDING = {"x": 0.0, "image": -1, "weight": 0.0, "shift": 0.0}


class Tile(NamedTuple):
    """A tile of S.

    Attributes:
      keep: whether the pair shows different images, [t u] bool.
      s: the logits, -inf where not kept, [t u].
      shift: the largest logit of each row, [t]; None where all share one bound.
      relative: ``S - shift``, [t u].
      exp: ``exp(S - shift)``, [t u].
    """

    keep: jax.Array
    s: jax.Array
    shift: jax.Array | None
    relative: jax.Array
    exp: jax.Array


class Observed(NamedTuple):
    """What only metrics ask for; every entry is [n].

    Attributes:
      weighted: sum of ``exp(S - shift) (S - shift)``.
      largest: the largest logit.
      nearness: sum of ``exp(-2 s ||x_i - x_j||^2)``, s being ``distance_scale``.
    """

    weighted: jax.Array
    largest: jax.Array
    nearness: jax.Array


class RowStatistics(NamedTuple):
    """What each row reads off the columns of other images; every entry is [n].

    Attributes:
      total: sum of ``exp(S - shift)``.
      shift: the row's largest logit; None where all share one bound.
      observed: what metrics ask for, or None.
    """

    total: jax.Array
    shift: jax.Array | None = None
    observed: Observed | None = None


def split(rows: AnyBlock, tile_rows: int) -> AnyBlock:
    """Cuts rows into blocks of at most ``tile_rows``; see ``blocks.split``."""
    padding = type(rows)(*(_PADDING[name] for name in rows._fields))
    return blocks.split(rows, tile_rows, padding=padding)


def matmul(x: jax.Array, y: jax.Array) -> jax.Array:
    """Product in float32; the default on a GPU or TPU keeps 10 or 7 bits of it."""
    return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)


def compute(
    rows: Block | WeightedBlock, columns: Block | WeightedBlock, bound: float | None
) -> Tile:
    """Computes one tile.

    Args:
      rows: t rows.
      columns: u columns.
      bound: a number that no ``|S|`` exceeds, at most ``LARGEST_BOUND``, or None.

    Returns:
      The tile, [t u].
    """
    row_image, column_image = rows.image[:, None], columns.image[None, :]
    keep = (row_image != column_image) & (row_image >= 0) & (column_image >= 0)
    # Masked before exp, so that a row's similarity to itself cannot overflow.
    s = jnp.where(keep, matmul(rows.x, columns.x.T), -jnp.inf)
    if bound is None:
        shift = _largest(s, 1)
        relative = s - shift[:, None]
    else:
        shift = None
        relative = s - bound
    return Tile(keep, s, shift, relative, jnp.exp(relative))


def read(
    tile: Tile,
    rows: Block,
    columns: Block,
    *,
    distance_scale: jax.Array | None,
    axes: tuple[int, ...] = (1,),
) -> tuple[RowStatistics, ...]:
    """Statistics of a tile's rows (axis 1) and of its columns (axis 0).

    The columns can be read only where all rows share one shift.

    Args:
      tile: the tile of ``rows`` and ``columns``.
      rows: t rows.
      columns: u columns.
      distance_scale: s of ``Observed.nearness``; None leaves out ``Observed``.
      axes: the axes that are reduced.

    Returns:
      The statistics for each of the axes, [t] or [u].
    """
    if distance_scale is None:
        return tuple(RowStatistics(tile.exp.sum(axis), tile.shift) for axis in axes)
    weighted = tile.exp * jnp.where(tile.keep, tile.relative, 0.0)  # No 0 * -inf.
    near = _nearness(tile, rows, columns, distance_scale)

    def along(axis: int) -> RowStatistics:
        largest = _largest(tile.s, axis)
        observed = Observed(weighted.sum(axis), largest, near.sum(axis))
        return RowStatistics(tile.exp.sum(axis), tile.shift, observed)

    return tuple(along(axis) for axis in axes)


def no_statistics(rows: Block, *, distance_scale: jax.Array | None) -> RowStatistics:
    """Statistics of no columns under a common shift: merging them changes nothing."""
    zero = jnp.zeros_like(rows.x[..., 0])
    if distance_scale is None:
        return RowStatistics(zero)
    return RowStatistics(zero, None, Observed(zero, zero + _SMALLEST_LOGIT, zero))


def merge(one: RowStatistics, other: RowStatistics) -> RowStatistics:
    """Statistics of the same rows over two sets of columns, taken together."""
    shift = None
    if one.shift is not None and other.shift is not None:
        shift = jnp.maximum(one.shift, other.shift)
        one, other = (
            _lowered(one, one.shift - shift),
            _lowered(other, other.shift - shift),
        )
    observed = None
    if one.observed is not None and other.observed is not None:
        observed = Observed(
            one.observed.weighted + other.observed.weighted,
            jnp.maximum(one.observed.largest, other.observed.largest),
            one.observed.nearness + other.observed.nearness,
        )
    return RowStatistics(one.total + other.total, shift, observed)


def weights(
    tile: Tile, rows: WeightedBlock, columns: WeightedBlock, bound: float | None
) -> jax.Array:
    """Returns ``w_i exp(S_ij - c_i) + w_j exp(S_ij - c_j)``, 0 for the same image.

    Args:
      tile: the tile of ``rows`` and ``columns``.
      rows: t rows.
      columns: u columns.
      bound: the c of every row and column, or None.

    Returns:
      The weights, [t u].
    """
    if bound is not None:
        return tile.exp * (rows.weight[:, None] + columns.weight[None, :])
    by_row = rows.weight[:, None] * jnp.exp(tile.s - rows.shift[:, None])
    return by_row + columns.weight[None, :] * jnp.exp(tile.s - columns.shift[None, :])


def _nearness(tile, rows, columns, distance_scale):
    """Returns ``exp(-2 s ||x_i - x_j||^2)``, [t u], 0 for the same image."""
    row_norm = jnp.sum(rows.x**2, axis=1)[:, None]
    column_norm = jnp.sum(columns.x**2, axis=1)[None, :]
    # -2 ||x_i - x_j||^2 = 4 x_i.x_j - 2 ||x_i||^2 - 2 ||x_j||^2, and -inf if masked.
    return jnp.exp(distance_scale * (4 * tile.s - 2 * row_norm - 2 * column_norm))


def _largest(s: jax.Array, axis: int) -> jax.Array:
    return jnp.maximum(jnp.max(s, axis), _SMALLEST_LOGIT)


def _lowered(statistics: RowStatistics, by: jax.Array) -> RowStatistics:
    """The sums relative to a shift that is higher by ``-by``, which is >= 0."""
    total, observed = statistics.total, statistics.observed
    if observed is not None:
        weighted = (observed.weighted + total * by) * jnp.exp(by)
        observed = observed._replace(weighted=weighted)
    return statistics._replace(total=total * jnp.exp(by), observed=observed)
