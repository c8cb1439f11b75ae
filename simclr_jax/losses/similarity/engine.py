"""Log-sum-exp of similarity rows and sums over positives, with a custom gradient.

With rows x_i, columns y_j, logits ``S_ij = x_i . y_j``, and j over the columns whose id
differs from the id of row i:

  L_i = log sum_j exp(S_ij)        P_i = sum over the positives j of S_ij

where the positives are the columns j with the label of row i. A contrastive loss is
a few elementwise operations on L and P. With g_i = dloss / dL_i and h_i = dloss / dP_i,

  dloss / dx_i = sum_j W_ij y_j    dloss / dy_j = sum_i W_ij x_i
  W_ij = g_i exp(S_ij - L_i) + [j positive of i] h_i

If columns have a log-sum-exp too (``compare_both``, or rows compared with themselves),
W has the same terms with i and j exchanged. The backward pass therefore recomputes each
tile of S once, and a device that receives L, g and h of all columns computes the
complete gradient of its own rows. Memory is O((n + m) d + tile).

The custom VJP is defined for one device and its rows. How these are compared with the
columns of other devices is decided by an algorithm; see ``algorithms``.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, PartitionSpec

from simclr_jax.core import types
from simclr_jax.losses.similarity import algorithms, plans, tiles

_ROWS = PartitionSpec(None, types.DATA_AXIS)
_REPLICATED = PartitionSpec()


class Rows(NamedTuple):
    """Rows or columns in g groups of n, such as the views of n images.

    Attributes:
      x: [g n d] float32. With a mesh, n is sharded over its axis "data".
      id: a row is not compared with columns of equal id, [g n] int32, >= 0. Every row
        requires at least one column with another id.
      label: columns with the label of a row are its positives, [g n] int32; None if
        the rows have no positives.
    """

    x: jax.Array
    id: jax.Array
    label: jax.Array | None = None


class Neighbors(NamedTuple):
    """Statistics for metrics over the columns with other ids; every entry is [g n].

    Attributes:
      entropy: of the distribution ``exp(S_ij - L_i)`` over j, in nats.
      largest: the largest logit among columns that are not positives.
      nearness: sum of ``exp(-2 s ||x_i - y_j||^2)`` over the columns j that are not
        positives, with s = ``distance_scale``.
    """

    entropy: jax.Array
    largest: jax.Array
    nearness: jax.Array


class Found(NamedTuple):
    """Reductions of the similarity matrix for each row; every entry is [g n] float32.

    Attributes:
      logsumexp: L, in nats.
      positives: ``statistics.Positives``, whose ``total`` is P and differentiable; None
        without labels.
      neighbors: ``Neighbors``, not differentiable; None without ``distance_scale``.
    """

    logsumexp: jax.Array
    positives: Any
    neighbors: Any


def compare(
    rows: Rows,
    columns: Rows | None = None,
    *,
    bound: float | None,
    mesh: Mesh | None,
    algorithm: str,
    distance_scale: jax.Array | None = None,
    are_columns_divided: bool = True,
) -> Found:
    """Computes log-sum-exp and positives of each row over all columns with other ids.

    Differentiable with respect to ``rows.x`` and ``columns.x``.

    Args:
      rows: the global rows.
      columns: the global columns; None compares the rows with themselves.
      bound: upper bound on ``|S|``, or None if unknown.
      mesh: the mesh over whose axis "data" the rows are sharded; None for one device.
      algorithm: a key of ``algorithms.ALGORITHMS``.
      distance_scale: s of ``Neighbors.nearness``, a float32 scalar; None: ``Neighbors``
        is not computed.
      are_columns_divided: whether the columns are sharded too; otherwise they are
        replicated on every device.

    Returns:
      The reductions for the rows.
    """
    setting = _Setting(bound, mesh, algorithm, are_columns_divided)
    return _over_devices(rows, columns, distance_scale, setting)[0]


def compare_both(
    rows: Rows,
    columns: Rows,
    *,
    bound: float | None,
    mesh: Mesh | None,
    algorithm: str,
    distance_scale: jax.Array | None = None,
) -> tuple[Found, Found]:
    """Like ``compare``, for each row over all columns and each column over all rows.

    Args:
      rows: the global rows.
      columns: the global columns.
      bound: upper bound on ``|S|``, or None if unknown.
      mesh: the mesh over whose axis "data" rows and columns are sharded, or None.
      algorithm: a key of ``algorithms.ALGORITHMS``; "triangular" computes each pair
        once for both directions, and so does "auto" on one device.
      distance_scale: as in ``compare``.

    Returns:
      The reductions for the rows and those for the columns.
    """
    setting = _Setting(bound, mesh, algorithm, are_both_wanted=True)
    of_rows, of_columns = _over_devices(rows, columns, distance_scale, setting)
    return of_rows, of_columns


class _Setting(NamedTuple):
    bound: float | None
    mesh: Mesh | None
    algorithm: str
    are_columns_divided: bool = True
    are_both_wanted: bool = False


class _Task(NamedTuple):
    """Static (hashable) arguments of ``_reduce``."""

    algorithm: plans.Algorithm
    plan: plans.Plan
    num_devices: int
    is_sharded: bool  # runs inside ``jax.shard_map``
    are_columns_divided: bool
    are_both_wanted: bool


def _over_devices(rows, columns, distance_scale, setting) -> Any:
    """Runs ``_reduce`` on every device of the mesh for its shard of the rows."""
    rows, columns = jax.tree.map(jnp.asarray, (rows, columns))
    task = _plan(rows, columns, setting)
    reduce: Any = functools.partial(_reduce, task=task)
    if task.is_sharded:
        of_columns = _ROWS if setting.are_columns_divided else _REPLICATED
        reduce = jax.shard_map(
            reduce,
            mesh=setting.mesh,
            in_specs=(_ROWS, of_columns, _REPLICATED, _REPLICATED),
            out_specs=_ROWS,
        )
    # Ids and labels are replicated: they are tiny compared with the rows.
    y, column_tags = None, None
    if columns is not None:
        y, column_tags = columns.x, (columns.id, columns.label)
    return reduce(rows.x, y, ((rows.id, rows.label), column_tags), distance_scale)


def _plan(rows, columns, setting):
    mesh = setting.mesh
    num_devices = 1 if mesh is None else mesh.shape[types.DATA_AXIS]
    dividing = num_devices if setting.are_columns_divided else 1
    bound = setting.bound
    if bound is not None and bound > tiles.LARGEST_BOUND:
        bound = None
    plan = plans.Plan(dividing, bound, algorithms.tile_rows(mesh))
    num_groups, num_columns, dim = (rows if columns is None else columns).x.shape
    algorithm = algorithms.choose(
        setting.algorithm,
        plan,
        num_rows=num_groups * num_columns // dividing,
        row_bytes=dim * rows.x.dtype.itemsize,
        is_symmetric=columns is None,
    )
    return _Task(
        algorithm,
        plan,
        num_devices,
        mesh is not None and (mesh.size > 1 or AxisType.Explicit in mesh.axis_types),
        setting.are_columns_divided,
        setting.are_both_wanted,
    )


@functools.partial(jax.custom_vjp, nondiff_argnames=("task",))
def _reduce(x, y, tags, distance_scale, task):
    """Returns ``Found`` for the rows and, if requested, for the columns, else None."""
    return _forward(x, y, tags, distance_scale, task)[0]


def _forward(x, y, tags, distance_scale, task):
    rows, columns = _sides(x, y, tags, task)
    plan, kept, of_columns = task.plan, None, None
    if task.are_both_wanted and task.algorithm.forward_of_both:
        of_rows, of_columns = task.algorithm.forward_of_both(
            rows.block, columns.block, plan, distance_scale
        )
    else:
        forward = task.algorithm.forward
        of_rows, kept = forward(rows.block, columns, plan, distance_scale)
        if task.are_both_wanted:
            of_columns, _ = forward(columns.block, rows, plan, distance_scale)
    found = _describe(of_rows, plan.bound, x.shape[:2]), None
    if of_columns is not None:
        found = found[0], _describe(of_columns, plan.bound, y.shape[:2])
    logsumexp = [None if side is None else side.logsumexp for side in found]
    return found, (x, y, tags, logsumexp, kept)


def _backward(task, residuals, cotangents):
    x, y, tags, logsumexp, kept = residuals
    rows, columns = _sides(x, y, tags, task)
    rows = _weigh(rows, logsumexp[0], cotangents[0], task.plan.bound)
    algorithm, plan = task.algorithm, task.plan
    if y is None:
        gradient = algorithm.backward(rows.block, rows, plan, kept)
        return gradient.reshape(x.shape), None, None, None
    columns = _weigh(columns, logsumexp[1], cotangents[1], task.plan.bound)
    if task.are_both_wanted and algorithm.backward_of_both:
        to_rows, to_columns = algorithm.backward_of_both(
            rows.block, columns.block, plan
        )
    else:
        # Two passes: XLA removes the one whose gradient is unused.
        to_rows = algorithm.backward(rows.block, columns, plan, kept)
        to_columns = algorithm.backward(columns.block, rows, plan, None)
    if task.is_sharded and not task.are_columns_divided:
        to_columns = jax.lax.psum(to_columns, types.DATA_AXIS)
    return to_rows.reshape(x.shape), to_columns.reshape(y.shape), None, None


_reduce.defvjp(_forward, _backward)


def _describe(found, bound, shape):
    """Converts sums relative to a shift into ``Found`` of shape [g n]."""
    shift = bound if found.shift is None else found.shift
    log_total, neighbors = jnp.log(found.total), None
    if found.observed is not None:
        weighted, largest, nearness = found.observed
        entropy = log_total - weighted / found.total
        neighbors = Neighbors(entropy, largest, nearness)
    described = Found(shift + log_total, found.positives, neighbors)
    return jax.tree.map(lambda row: row.reshape(shape), described)


def _weigh(side, logsumexp, cotangent, bound):
    """Adds the weights and the shift that ``tiles.weights`` needs to a side."""
    block = tiles.WeightedBlock(*side.block)
    if logsumexp is not None:
        shift, weight = logsumexp.reshape(-1), cotangent.logsumexp.reshape(-1)
        if bound is not None:
            weight = weight * jnp.exp(bound - shift)
        block = block._replace(weight=weight, shift=shift)
        if cotangent.positives is not None:
            pull = cotangent.positives.total.reshape(-1)
            block = block._replace(positive_weight=pull)
    return side._replace(block=block)


def _sides(x, y, tags, task):
    """Returns the rows and the columns of this device."""
    rows = _side(x, tags[0], task.num_devices)
    if y is None:
        return rows, rows
    num_devices = task.num_devices if task.are_columns_divided else 1
    return rows, _side(y, tags[1], num_devices)


def _side(x, tags, num_devices):
    num_groups, num_rows, dim = x.shape
    size = num_groups * num_rows

    def by_device(tag: Any) -> Any:
        """Transposes tags of all devices, [g N n], to [N g n], flattened."""
        if num_devices == 1:
            return tag.reshape(-1)
        divided = tag.reshape(num_groups, num_devices, num_rows)
        return jnp.swapaxes(divided, 0, 1).reshape(-1)

    def own(tag: Any) -> Any:
        if num_devices == 1:
            return tag
        first = jax.lax.axis_index(types.DATA_AXIS) * size
        return jax.lax.dynamic_slice_in_dim(tag, first, size)

    ids, labels = tags
    ids = by_device(ids)
    labels = None if labels is None else by_device(labels)
    own_labels = None if labels is None else own(labels)
    block = tiles.Block(x.reshape(size, dim), own(ids), own_labels)
    return plans.Side(block, ids, labels)
