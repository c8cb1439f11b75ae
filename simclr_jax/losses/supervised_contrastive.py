"""SupCon, the supervised contrastive loss."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from simclr_jax.core import numerics, types


def supcon(
    views: Float[Array, "b v d"],
    labels: Int[Array, " b"],
    *,
    temperature: float | types.Scalar,
    mesh: jax.sharding.Mesh | None = None,
    algorithm: str = "auto",
) -> types.Scalar:
    """Computes the supervised contrastive loss.

    Args:
      views: embeddings.
      labels: classes.
      temperature: tau > 0.
      mesh: devices.
      algorithm: a name in ``ALGORITHMS``.

    Returns:
      The mean over anchors.
    """
    return supcon_with_metrics(
        views, labels, temperature=temperature, mesh=mesh, algorithm=algorithm
    )[0]


def supcon_with_metrics(
    views: Float[Array, "b v d"],
    labels: Int[Array, " b"],
    *,
    temperature: float | types.Scalar,
    mesh: jax.sharding.Mesh | None = None,
    algorithm: str = "auto",
) -> tuple[types.Scalar, types.Metrics]:
    """Computes the loss of ``supcon`` and metrics.

    Args:
      views: embeddings.
      labels: classes.
      temperature: tau > 0.
      mesh: devices.
      algorithm: a name in ``ALGORITHMS``.

    Returns:
      The mean over anchors, and metrics by name.
    """
    del mesh, algorithm
    num_views = views.shape[1]
    z = numerics.l2_normalize(views).reshape(-1, views.shape[-1])
    label = jnp.repeat(labels, num_views)
    row = jnp.arange(len(z))
    is_self = row[:, None] == row[None, :]
    positive = (label[:, None] == label[None, :]) & ~is_self
    s = jnp.matmul(z, z.T, precision=jax.lax.Precision.HIGHEST) / temperature
    log_p = jax.nn.log_softmax(jnp.where(is_self, -jnp.inf, s), axis=-1)
    count = jnp.sum(positive, axis=-1).astype(jnp.float32)
    total = jnp.sum(jnp.where(positive, log_p, 0.0), axis=-1)
    has = (count > 0).astype(jnp.float32)
    loss = -jnp.sum(total / jnp.maximum(count, 1)) / jnp.maximum(jnp.sum(has), 1)
    return loss, {"chance_loss": jnp.log(jnp.float32(len(z) - 1))}
