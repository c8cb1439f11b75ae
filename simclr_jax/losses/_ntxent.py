"""NT-Xent for training: exact, by tiles, on one device or many."""

import jax
import jax.numpy as jnp

from simclr_jax.core import checks, errors, numerics, types
from simclr_jax.losses import _ntxent_checks, _similarity_tiles


def ntxent(
    a: types.Embedding,
    b: types.Embedding,
    *,
    temperature: float | types.Scalar,
    mesh: jax.sharding.Mesh | None = None,
) -> types.Scalar:
    """Normalised temperature-scaled cross entropy (NT-Xent), by tiles."""
    scale = _ntxent_checks.check_temperature(temperature) ** -0.5
    _check_mesh(a, mesh)
    _ntxent_checks.check_views("ntxent", a, b)
    x = scale * numerics.l2_normalize(jnp.stack([a, b]))
    positive = jnp.sum(x[0] * x[1], axis=-1)
    lse = _similarity_tiles.logsumexp_over_others(x, None, mesh)
    return jnp.mean(jax.nn.softplus(lse - positive[None]))


def ntxent_with_metrics(
    a: types.Embedding,
    b: types.Embedding,
    *,
    temperature: float | types.Scalar,
    mesh: jax.sharding.Mesh | None = None,
) -> tuple[types.Scalar, types.Metrics]:
    """As ``ntxent``, with metrics (being written: only the bounds are right)."""
    loss = ntxent(a, b, temperature=temperature, mesh=mesh)
    zero = jnp.zeros((), jnp.float32)
    n = a.shape[0]
    tau = jnp.asarray(temperature, jnp.float32)
    return loss, {
        "contrastive_accuracy": zero,
        "entropy": zero,
        "alignment": zero,
        "uniformity": zero,
        "chance_loss": jnp.log(jnp.float32(2 * n - 1)),
        "floor_loss": jnp.log1p((2 * n - 2) * jnp.exp(-1 / tau)),
    }


def _check_mesh(a, mesh):
    if mesh is None:
        return
    if "data" not in mesh.shape:
        raise errors.UserError(
            f"mesh must have an axis named 'data'; got {tuple(mesh.shape)}."
        )
    checks.check_divisible(
        "the batch size", a.shape[0], by=mesh.shape["data"],
        remedy="It is divided over the devices of the mesh's data axis.",
    )
