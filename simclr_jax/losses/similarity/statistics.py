"""Mergeable row statistics of a similarity matrix: sums and maxima.

The statistics of rows over two sets of columns can be merged into the statistics over
their union, so the columns can be processed in tiles, in any order, on any device.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from simclr_jax.losses.similarity import tiles


class Observed(NamedTuple):
    """Statistics used only by metrics; every entry is [n].

    Attributes:
      weighted: sum of ``exp(S - shift) (S - shift)``.
      largest: the largest logit among columns that are not positives.
      nearness: sum of ``exp(-2 s ||x_i - x_j||^2)`` over the columns that are
        not positives, with s = ``distance_scale``.
    """

    weighted: jax.Array
    largest: jax.Array
    nearness: jax.Array


class Positives(NamedTuple):
    """Statistics of each row over its positives; every entry is [n] float32.

    Attributes:
      total: sum of the logits.
      num_positives: number of positives.
      largest: the largest logit; -1e30 if there are no positives.
    """

    total: jax.Array
    num_positives: jax.Array
    largest: jax.Array


class RowStatistics(NamedTuple):
    """Statistics of each row over the columns with other ids; every entry is [n].

    Attributes:
      total: sum of ``exp(S - shift)``.
      shift: the row's largest logit; None if all rows share a bound.
      observed: statistics for metrics; None if not requested.
      positives: statistics over the positives; None without labels.
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
    """Computes the statistics of a tile's rows (axis 1) and columns (axis 0).

    Axis 0 requires that all rows share one shift.

    Args:
      tile: the tile of ``rows`` and ``columns``.
      rows: t rows.
      columns: u columns.
      distance_scale: s of ``Observed.nearness``; None: ``Observed`` is not computed.
      axes: the axes to reduce over.

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
    """Returns the statistics over zero columns, the identity of ``merge``.

    They have no shift of their own, as if all rows share a bound.
    """
    zero = jnp.zeros_like(rows.x[..., 0])
    smallest = zero + tiles.SMALLEST_LOGIT
    observed = None if distance_scale is None else Observed(zero, smallest, zero)
    positives = None if rows.label is None else Positives(zero, zero, smallest)
    return RowStatistics(zero, None, observed, positives)


def merge(one: RowStatistics, other: RowStatistics) -> RowStatistics:
    """Merges statistics of the same rows over two disjoint sets of columns."""
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
    """Returns a function that computes ``Observed`` along an axis."""
    if distance_scale is None:
        return lambda axis: None
    weighted = tile.exp * jnp.where(tile.keep, tile.relative, 0.0)  # avoids 0 * -inf
    s = tile.s
    if tile.positive is not None:
        s = jnp.where(tile.positive, -jnp.inf, s)
    near = _nearness(s, rows, columns, distance_scale)
    return lambda axis: Observed(
        weighted.sum(axis), tiles.largest(s, axis), near.sum(axis)
    )


def _nearness(s, rows, columns, distance_scale):
    """Returns ``exp(-2 s ||x_i - x_j||^2)`` [t u]; 0 where the logit is -inf."""
    row_norm = jnp.sum(rows.x**2, axis=1)[:, None]
    column_norm = jnp.sum(columns.x**2, axis=1)[None, :]
    # -2 ||x_i - x_j||^2 = 4 x_i.x_j - 2 ||x_i||^2 - 2 ||x_j||^2; -inf if masked.
    return jnp.exp(distance_scale * (4 * s - 2 * row_norm - 2 * column_norm))


def _lowered(statistics: RowStatistics, by: jax.Array) -> RowStatistics:
    """Rescales the sums to a shift that is higher by ``-by >= 0``."""
    total, observed = statistics.total, statistics.observed
    if observed is not None:
        weighted = (observed.weighted + total * by) * jnp.exp(by)
        observed = observed._replace(weighted=weighted)
    return statistics._replace(total=total * jnp.exp(by), observed=observed)
