"""Scaling of embeddings so that products of rows are logits: ``x y^T = s / tau``."""

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from simclr_jax.core import numerics, types


def scaled(x: jax.Array, temperature: types.Scalar) -> jax.Array:
    """Returns the rows of ``x`` in float32, each of length ``temperature ** -0.5``."""
    return numerics.l2_normalize(x) * jax.lax.rsqrt(temperature)


def bound_on_logits(temperature: float | types.Scalar) -> float | None:
    """Returns ``1 / temperature``, the largest possible logit; None if it is traced."""
    return None if isinstance(temperature, jax.Array) else 1 / float(temperature)


def divided(x: jax.Array, mesh: Mesh | None) -> jax.Array:
    """Returns ``x`` with its first axis sharded over the mesh axis "data".

    A no-op unless the mesh has explicit axes: otherwise the compiler shards ``x``.
    """
    return _placed(x, mesh, PartitionSpec(types.DATA_AXIS))


def replicated(x: jax.Array, mesh: Mesh | None) -> jax.Array:
    """Returns ``x`` replicated on every device of a mesh with explicit axes."""
    return _placed(x, mesh, PartitionSpec())


def _placed(x, mesh, spec):
    if mesh is None or AxisType.Explicit not in mesh.axis_types:
        return x
    return jax.sharding.reshard(jnp.asarray(x), NamedSharding(mesh, spec))
