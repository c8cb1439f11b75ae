"""What a row or a column reads off a similarity matrix: sums and maxima that merge.

The statistics of the same rows over two sets of columns merge into those over both, so
that the columns can be visited in tiles, in any order, on any device.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from simclr_jax.losses.similarity import tiles


class Observed(NamedTuple):
    """What only metrics ask for; every entry is [n].

    Attributes:
      weighted: sum of ``exp(S - shift) (S - shift)``.
      largest: the largest logit that is not of a positive.
      nearness: sum of ``exp(-2 s ||x_i - x_j||^2)`` over the columns that are no
        positives, s being ``distance_scale``.
    """

    weighted: jax.Array
    largest: jax.Array
    nearness: jax.Array


class Positives(NamedTuple):
    """What each row reads off its positives; every entry is [n] float32.

    Attributes:
      total: sum of the logits.
      num_positives: how many they are.
      largest: the largest logit, -1e30 without positives.
    """

    total: jax.Array
    num_positives: jax.Array
    largest: jax.Array


class RowStatistics(NamedTuple):
    """What each row reads off the columns of other ids; every entry is [n].

    Attributes:
      total: sum of ``exp(S - shift)``.
      shift: the row's largest logit; None where all share one bound.
      observed: what metrics ask for, or None.
      positives: what the row reads off its positives; None without labels.
    """

    total: jax.Array
    shift: jax.Array | None = None
    observed: Observed | None = None
    positives: Positives | None = None


def read(
    tile: tiles.Tile,
    rows: tiles.Block,
    columns: tiles.Block,
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
    observe = _observer(tile, rows, columns, distance_scale)

    def along(axis: int) -> RowStatistics:
        return RowStatistics(
            tile.exp.sum(axis), tile.shift, observe(axis), _read_positives(tile, axis)
        )

    return tuple(along(axis) for axis in axes)


def none(rows: tiles.Block, *, distance_scale: jax.Array | None) -> RowStatistics:
    """Statistics of no columns under a common shift: merging them changes nothing."""
    zero = jnp.zeros_like(rows.x[..., 0])
    smallest = zero + tiles.SMALLEST_LOGIT
    observed = None if distance_scale is None else Observed(zero, smallest, zero)
    positives = None if rows.label is None else Positives(zero, zero, smallest)
    return RowStatistics(zero, None, observed, positives)


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
    positives = None
    if one.positives is not None and other.positives is not None:
        positives = Positives(
            one.positives.total + other.positives.total,
            one.positives.num_positives + other.positives.num_positives,
            jnp.maximum(one.positives.largest, other.positives.largest),
        )
    return RowStatistics(one.total + other.total, shift, observed, positives)


def _read_positives(tile, axis):
    if tile.positive is None:
        return None
    return Positives(
        jnp.where(tile.positive, tile.s, 0.0).sum(axis),
        tile.positive.sum(axis).astype(jnp.float32),
        tiles.largest(jnp.where(tile.positive, tile.s, -jnp.inf), axis),
    )


def _observer(tile, rows, columns, distance_scale):
    """Returns a function that reads ``Observed`` along an axis."""
    if distance_scale is None:
        return lambda axis: None
    weighted = tile.exp * jnp.where(tile.keep, tile.relative, 0.0)  # No 0 * -inf.
    s = tile.s
    if tile.positive is not None:
        s = jnp.where(tile.positive, -jnp.inf, s)
    near = _nearness(s, rows, columns, distance_scale)
    return lambda axis: Observed(
        weighted.sum(axis), tiles.largest(s, axis), near.sum(axis)
    )


def _nearness(s, rows, columns, distance_scale):
    """Returns ``exp(-2 s ||x_i - x_j||^2)``, [t u], 0 where the logit is -inf."""
    row_norm = jnp.sum(rows.x**2, axis=1)[:, None]
    column_norm = jnp.sum(columns.x**2, axis=1)[None, :]
    # -2 ||x_i - x_j||^2 = 4 x_i.x_j - 2 ||x_i||^2 - 2 ||x_j||^2, and -inf if masked.
    return jnp.exp(distance_scale * (4 * s - 2 * row_norm - 2 * column_norm))


def _lowered(statistics: RowStatistics, by: jax.Array) -> RowStatistics:
    """The sums relative to a shift that is higher by ``-by``, which is >= 0."""
    total, observed = statistics.total, statistics.observed
    if observed is not None:
        weighted = (observed.weighted + total * by) * jnp.exp(by)
        observed = observed._replace(weighted=weighted)
    return statistics._replace(total=total * jnp.exp(by), observed=observed)
