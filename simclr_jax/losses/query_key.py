"""InfoNCE, the loss of MoCo and CLIP: queries against keys of a queue or the batch."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simclr_jax.core import types
from simclr_jax.losses import diagnostics, inputs, scaling, similarity


def info_nce(
    query: types.Embedding,
    positive: types.Embedding,
    negatives: Float[Array, "m d"] | None,
    *,
    temperature: float | types.Scalar,
    mesh: jax.sharding.Mesh | None = None,
    algorithm: str = "auto",
) -> types.Scalar:
    """Computes InfoNCE for queries with one positive key each, in O((n + m) d) memory.

    With s the cosine similarity, the loss of query i with key i and negatives N is

      l(i) = -log( e^(s_ii / tau) / (e^(s_ii / tau) + sum_{j in N} e^(s_ij / tau)) )

    and the loss is the mean over the queries. Every query has the same ``negatives``,
    such as MoCo's queue. If ``negatives`` is None, they are the keys of all other
    queries in the global batch, as in one direction of CLIP.

    All arguments receive a gradient; apply ``jax.lax.stop_gradient`` as the method
    requires, and gradients that are stopped are not computed. Forward-mode
    differentiation is not supported.

    Args:
      query: queries, [n d], of any float type; need not be normalized.
      positive: keys, [n d]; row i is the positive of ``query[i]``.
      negatives: [m d] with m >= 1, replicated on every device of the mesh; or None,
        which requires n >= 2.
      temperature: tau > 0, dimensionless; a Python number, or a traced scalar, which
        also receives a gradient.
      mesh: the mesh over whose axis "data" queries and keys are sharded; n must be a
        multiple of the size of that axis. None for one device.
      algorithm: how queries are compared with the keys of other devices, a key of
        ``ALGORITHMS``; does not affect results. Unused if ``negatives`` are given.

    Returns:
      A float32 scalar in nats; ``ln(m + 1)`` or ``ln(n)`` at chance.

    Raises:
      UserError: if a shape or type is wrong, there are no negatives, ``temperature``
        is a number that is not positive, the mesh has no axis "data" or its size does
        not divide n, or ``algorithm`` is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import losses
      >>> query, queue = jnp.ones((2, 4)), jnp.ones((7, 4))  # all alike: ln(7 + 1)
      >>> print(f"{losses.info_nce(query, query, queue, temperature=0.2):.3f}")
      2.079

    References:
      van den Oord et al., "Representation Learning with Contrastive Predictive Coding",
      2018, equation 4. https://arxiv.org/abs/1807.03748. He et al., "Momentum Contrast
      for Unsupervised Visual Representation Learning", 2019, equation 1.
      https://arxiv.org/abs/1911.05722
    """
    inputs.check_queries("info_nce", query, positive, negatives, mesh)
    q, k = _scaled(query, positive, temperature, mesh)
    found, _ = _compare(q, k, negatives, temperature, mesh, algorithm=algorithm)
    return jnp.mean(_row_losses(q, k, found))


def info_nce_with_metrics(
    query: types.Embedding,
    positive: types.Embedding,
    negatives: Float[Array, "m d"] | None,
    *,
    temperature: float | types.Scalar,
    mesh: jax.sharding.Mesh | None = None,
    algorithm: str = "auto",
) -> tuple[types.Scalar, types.Metrics]:
    """Computes the loss of ``info_nce`` and metrics that reveal a collapsed encoder.

    Args:
      query: queries, [n d], as for ``info_nce``.
      positive: keys, [n d].
      negatives: [m d] or None, as for ``info_nce``.
      temperature: tau > 0, as for ``info_nce``.
      mesh: as for ``info_nce``.
      algorithm: as for ``info_nce``.

    Returns:
      The loss, and the metrics of ``ntxent_with_metrics`` by name, float32 scalars
      without gradient. They are means over the queries, each compared with its key and
      its negatives; ``uniformity`` is between queries and negatives.

    Raises:
      UserError: as for ``info_nce``.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import losses
      >>> loss, metrics = losses.info_nce_with_metrics(
      ...     jnp.eye(4), jnp.eye(4), None, temperature=0.2
      ... )
      >>> print(metrics["contrastive_accuracy"])
      1.0
    """
    inputs.check_queries("info_nce_with_metrics", query, positive, negatives, mesh)
    tau = jax.lax.stop_gradient(jnp.asarray(temperature, jnp.float32))
    q, k = _scaled(query, positive, temperature, mesh)
    found, num_negatives = _compare(
        q, k, negatives, temperature, mesh, algorithm=algorithm, distance_scale=tau
    )
    of_rows = diagnostics.of_rows(
        jnp.sum(q * k, axis=-1),
        jnp.sum((q - k) ** 2, axis=-1),
        found,
        temperature=tau,
    )
    of_rows["loss"] = _row_losses(q, k, found)
    loss, means = diagnostics.loss_and_means(of_rows)
    return loss, diagnostics.metrics(means, num_negatives, temperature=tau)


def _scaled(query, key, temperature, mesh):
    """Returns scaled queries and keys as one group of rows each, [1 n d]."""
    tau = inputs.check_temperature(temperature)
    q, k = scaling.divided(query, mesh), scaling.divided(key, mesh)
    return scaling.scaled(q, tau)[None], scaling.scaled(k, tau)[None]


def _compare(q, k, negatives, temperature, mesh, **options):
    """Returns the reductions over each query's negatives, and how many there are."""
    num_queries = q.shape[1]
    query_id = jnp.arange(num_queries, dtype=jnp.int32)[None]
    if negatives is None:
        columns, num_negatives = similarity.Rows(k, query_id), num_queries - 1
    else:
        tau = inputs.check_temperature(temperature)
        y = scaling.scaled(scaling.replicated(negatives, mesh), tau)[None]
        num_negatives = y.shape[1]
        other_id = num_queries + jnp.arange(num_negatives, dtype=jnp.int32)[None]
        columns = similarity.Rows(y, other_id)
    found = similarity.compare(
        similarity.Rows(q, query_id),
        columns,
        bound=scaling.bound_on_logits(temperature),
        mesh=mesh,
        are_columns_divided=negatives is None,
        **options,
    )
    return found, num_negatives


def _row_losses(q, k, found):
    """Returns the loss of every query, [1 n]: ``softplus(L_i - s_ii / tau)``."""
    return jax.nn.softplus(found.logsumexp - jnp.sum(q * k, axis=-1))
