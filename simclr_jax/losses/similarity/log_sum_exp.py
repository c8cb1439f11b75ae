"""Log-sum-exp of each row's similarities to the other images, and its gradient.

With x the rows of all views, ``S = x x^T`` and i, j rows of different images:

  L_i = log sum_j exp(S_ij)

A contrastive loss is a few elementwise operations on L. With g_i = dloss / dL_i,

  dloss / dx_i = sum_j W_ij x_j,    W_ij = g_i exp(S_ij - L_i) + g_j exp(S_ij - L_j),

so the backward pass recomputes each tile of S once, and a device that meets the L and g
of all rows finds the whole gradient of its own rows. Memory is O(n d + tile).

The rule for differentiation is that of one device and its rows; an algorithm says how it
meets the rows of the others, see ``algorithms``.
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


class Neighbors(NamedTuple):
    """What each row sees of the other images; every entry is [v b].

    Attributes:
      entropy: of the distribution ``exp(S_ij - L_i)`` over j, in nats.
      largest: the largest logit.
      nearness: sum over j of ``exp(-2 s ||x_i - x_j||^2)``, s = ``distance_scale``.
    """

    entropy: jax.Array
    largest: jax.Array
    nearness: jax.Array


def logsumexp_over_others(
    x: jax.Array, *, bound: float | None, mesh: Mesh | None, algorithm: str
) -> jax.Array:
    """Log-sum-exp of each row's similarities to the rows of other images.

    Args:
      x: rows of each view, [v b d] float32. Row i of every view shows image i.
      bound: a number that no ``|S|`` exceeds, or None if none is known.
      mesh: the mesh whose axis "data" divides the images, or None for one device.
      algorithm: a name in ``algorithms.ALGORITHMS``.

    Returns:
      L, [v b] float32, in nats.
    """
    return _over_devices(x, None, bound, mesh, algorithm)[0]


def logsumexp_and_neighbors(
    x: jax.Array,
    *,
    bound: float | None,
    mesh: Mesh | None,
    algorithm: str,
    distance_scale: jax.Array,
) -> tuple[jax.Array, Neighbors]:
    """As ``logsumexp_over_others``, with what metrics want from the same tiles.

    Args:
      x: rows of each view, [v b d] float32. Row i of every view shows image i.
      bound: a number that no ``|S|`` exceeds, or None if none is known.
      mesh: the mesh whose axis "data" divides the images, or None for one device.
      algorithm: a name in ``algorithms.ALGORITHMS``.
      distance_scale: s of ``Neighbors.nearness``, a float32 scalar.

    Returns:
      L, and what each row sees of the other images, constants to a gradient.
    """
    return _over_devices(x, distance_scale, bound, mesh, algorithm)


def _over_devices(x, distance_scale, bound, mesh, name) -> Any:
    """Runs ``_reduce`` on every device of the mesh, on its own rows."""
    num_views, num_images, dim = x.shape
    num_devices = 1 if mesh is None else mesh.shape[types.DATA_AXIS]
    plan = plans.Plan(
        num_devices,
        num_images // num_devices,
        bound if bound is not None and bound <= tiles.LARGEST_BOUND else None,
        algorithms.tile_rows(mesh),
    )
    algorithm = algorithms.choose(
        name,
        plan,
        num_rows=num_views * plan.images_per_device,
        row_bytes=dim * x.dtype.itemsize,
    )
    reduce = functools.partial(_reduce, algorithm=algorithm, plan=plan)
    if mesh is not None and (mesh.size > 1 or AxisType.Explicit in mesh.axis_types):
        reduce = jax.shard_map(
            reduce, mesh=mesh, in_specs=(_ROWS, _REPLICATED), out_specs=_ROWS
        )
    return reduce(x, distance_scale)


@functools.partial(jax.custom_vjp, nondiff_argnames=("algorithm", "plan"))
def _reduce(x, distance_scale, algorithm, plan):
    """Returns L, and ``Neighbors`` or None where ``distance_scale`` is None."""
    return _forward(x, distance_scale, algorithm, plan)[0]


def _forward(x, distance_scale, algorithm, plan):
    rows = _flatten(x, plan)
    statistics, kept = algorithm.forward(rows, plan, distance_scale)
    found = _describe(statistics, plan.bound, x.shape[:2])
    return found, (x, found[0], kept)


def _backward(algorithm, plan, residuals, cotangent):
    x, logsumexp, kept = residuals
    g, _ = cotangent
    rows = _weigh(_flatten(x, plan), logsumexp, g, plan.bound)
    return algorithm.backward(rows, plan, kept).reshape(x.shape), None


_reduce.defvjp(_forward, _backward)


def _describe(statistics, bound, shape):
    """Turns sums relative to a shift into L and ``Neighbors`` of shape [v b]."""
    shift = bound if statistics.shift is None else statistics.shift
    log_total, neighbors = jnp.log(statistics.total), None
    if statistics.observed is not None:
        weighted, largest, nearness = statistics.observed
        entropy = log_total - weighted / statistics.total
        neighbors = Neighbors(entropy, largest, nearness)
    found = shift + log_total, neighbors
    return jax.tree.map(lambda row: row.reshape(shape), found)


def _weigh(rows, logsumexp, g, bound):
    """Adds to the rows the weight and shift that ``tiles.weights`` asks for."""
    shift, weight = logsumexp.reshape(-1), g.reshape(-1)
    if bound is not None:
        weight = weight * jnp.exp(bound - shift)
    return tiles.WeightedBlock(rows.x, rows.image, weight, shift)


def _flatten(x, plan):
    """This device's rows, with the images they show among those of all devices."""
    num_views, num_images, dim = x.shape
    image = jnp.arange(num_images, dtype=jnp.int32)
    if plan.num_devices > 1:
        image += jax.lax.axis_index(types.DATA_AXIS) * num_images
    return tiles.Block(x.reshape(-1, dim), jnp.tile(image, num_views))
