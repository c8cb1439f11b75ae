"""InfoNCE of queries and keys, with a queue of negatives or the batch's own."""

import jax
import jax.numpy as jnp

from simclr_jax.core import numerics, types


def info_nce(
    query: types.Embedding,
    key: types.Embedding,
    negatives: types.Embedding | None,
    *,
    temperature: float | types.Scalar,
    mesh: jax.sharding.Mesh | None = None,
    algorithm: str = "auto",
) -> types.Scalar:
    """Computes InfoNCE.

    Args:
      query: queries, [n d].
      key: keys, [n d].
      negatives: [m d], or None: the other keys of the batch.
      temperature: tau > 0.
      mesh: devices.
      algorithm: a name in ``ALGORITHMS``.

    Returns:
      The mean over queries.
    """
    return info_nce_with_metrics(
        query,
        key,
        negatives,
        temperature=temperature,
        mesh=mesh,
        algorithm=algorithm,
    )[0]


def info_nce_with_metrics(
    query: types.Embedding,
    key: types.Embedding,
    negatives: types.Embedding | None,
    *,
    temperature: float | types.Scalar,
    mesh: jax.sharding.Mesh | None = None,
    algorithm: str = "auto",
) -> tuple[types.Scalar, types.Metrics]:
    """Computes the loss of ``info_nce`` and metrics.

    Args:
      query: queries, [n d].
      key: keys, [n d].
      negatives: [m d], or None: the other keys of the batch.
      temperature: tau > 0.
      mesh: devices.
      algorithm: a name in ``ALGORITHMS``.

    Returns:
      The mean over queries, and metrics by name.
    """
    del mesh, algorithm
    q, k = numerics.l2_normalize(query), numerics.l2_normalize(key)
    positive = jnp.sum(q * k, axis=-1) / temperature
    columns = k if negatives is None else numerics.l2_normalize(negatives)
    s = jnp.matmul(q, columns.T, precision=jax.lax.Precision.HIGHEST) / temperature
    if negatives is None:
        s = jnp.where(jnp.eye(len(q), dtype=bool), -jnp.inf, s)
    rest = jax.nn.logsumexp(s, axis=-1)
    loss = jnp.mean(jax.nn.softplus(rest - positive))
    correct = positive > jnp.max(s, axis=-1)
    return loss, {"contrastive_accuracy": jnp.mean(correct.astype(jnp.float32))}
