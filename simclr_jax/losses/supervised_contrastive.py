"""SupCon, the supervised contrastive loss, for training: exact, tiled, sharded."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from simclr_jax.core import types
from simclr_jax.losses import diagnostics, inputs, scaling, similarity


def supcon(
    views: Float[Array, "b v d"],
    labels: Int[Array, " b"],
    *,
    temperature: float | types.Scalar,
    mesh: jax.sharding.Mesh | None = None,
    algorithm: str = "auto",
) -> types.Scalar:
    """Computes the supervised contrastive loss (SupCon), L_out, tiled.

    Each of the n = b v rows is an anchor. With s the cosine similarity and P(i) the
    other rows that have the label of row i, the loss of row i is

      l(i) = log sum_{a != i} e^(s_ia / tau) - 1 / |P(i)| sum_{p in P(i)} s_ip / tau

    and the loss is the mean of l over the anchors that have a positive. Anchors without
    a positive (v = 1 and a label that occurs once in the batch) are left out of the
    mean but remain negatives of the others. If no anchor has a positive, the loss is 0
    with a gradient of 0.

    With v = 2 and distinct labels this equals NT-Xent in value and gradient. As for
    ``ntxent``, the sums are computed in tiles, forward and backward, so memory is
    O(n d); with a mesh, value and gradient equal those of one device; forward-mode
    differentiation is not supported.

    Args:
      views: embeddings of v >= 1 views of each image, [b v d], of any float type; need
        not be normalized. b v must be at least 2.
      labels: the class of each image, [b], any integers that fit into int32.
      temperature: tau > 0, dimensionless; a Python number, or a traced scalar, which
        also receives a gradient.
      mesh: the mesh over whose axis "data" the images are sharded; b must be a multiple
        of the size of that axis. None for one device.
      algorithm: how rows are compared across devices, a key of ``ALGORITHMS``, as for
        ``ntxent``; does not affect results.

    Returns:
      A float32 scalar in nats. The authors' code returns this times tau / 0.07.

    Raises:
      UserError: if a shape or type is wrong, there are fewer than 2 rows,
        ``temperature`` is a number that is not positive, the mesh has no axis "data" or
        its size does not divide b, or ``algorithm`` is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import losses
      >>> views = jnp.eye(4)[:, None]  # one view of each of four images
      >>> labels = jnp.array([0, 0, 1, 1])
      >>> print(f"{losses.supcon(views, labels, temperature=0.5):.3f}")
      1.099

    References:
      Khosla et al., "Supervised Contrastive Learning", 2020, equation 2.
      https://arxiv.org/abs/2004.11362
    """
    inputs.check_labeled_views("supcon", views, labels, mesh)
    rows, bound = _rows(views, labels, temperature, mesh)
    found = similarity.compare(rows, bound=bound, mesh=mesh, algorithm=algorithm)
    is_anchor = (found.positives.num_positives > 0).astype(jnp.float32)
    total, num_anchors = _sums([_row_losses(found), is_anchor])
    return total / jnp.maximum(num_anchors, 1)


def supcon_with_metrics(
    views: Float[Array, "b v d"],
    labels: Int[Array, " b"],
    *,
    temperature: float | types.Scalar,
    mesh: jax.sharding.Mesh | None = None,
    algorithm: str = "auto",
) -> tuple[types.Scalar, types.Metrics]:
    """Computes the loss of ``supcon`` and metrics that reveal a collapsed encoder.

    Args:
      views: embeddings, [b v d], as for ``supcon``.
      labels: the class of each image, [b].
      temperature: tau > 0, as for ``supcon``.
      mesh: as for ``supcon``.
      algorithm: as for ``supcon``.

    Returns:
      The loss, and float32 scalars by name, without gradient:

      * ``contrastive_accuracy``: the fraction of the anchors with positives whose
        nearest other row has their label. A tie counts as wrong.
      * ``entropy``: the mean entropy of the rows' distributions over the n - 1 other
        rows, in nats, at most ``chance_loss``.
      * ``alignment``: the mean squared distance from anchors to positives on the
        unit sphere, in [0, 4]; lower is better.
      * ``uniformity``: the log of the mean of ``exp(-2 ||x - y||^2)`` over pairs of
        different labels, in [-8, 0]; lower is better; 0 if there are no such pairs.
      * ``anchors_without_positives``: the fraction of rows left out of the mean.
      * ``chance_loss``: ln(n - 1), the loss of a collapsed encoder.
      * ``floor_loss``: the loss of positives at cosine 1 among orthogonal negatives.

    Raises:
      UserError: as for ``supcon``.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import losses
      >>> views, labels = jnp.eye(3)[:, None], jnp.array([0, 0, 1])
      >>> loss, metrics = losses.supcon_with_metrics(views, labels, temperature=0.5)
      >>> print(f"{metrics['anchors_without_positives']:.2f}")
      0.33
    """
    inputs.check_labeled_views("supcon_with_metrics", views, labels, mesh)
    rows, bound = _rows(views, labels, temperature, mesh)
    tau = jax.lax.stop_gradient(jnp.asarray(temperature, jnp.float32))
    found = similarity.compare(
        rows, bound=bound, mesh=mesh, algorithm=algorithm, distance_scale=tau
    )
    of_rows = diagnostics.of_anchors(found, temperature=tau)
    total, *sums = _sums([_row_losses(found), *of_rows.values()])
    of_batch = dict(zip(of_rows, sums, strict=True))
    loss = total / jnp.maximum(of_batch["is_anchor"], 1)
    return loss, diagnostics.anchor_metrics(of_batch, rows.id.size)


def _rows(views, labels, temperature, mesh):
    """Returns the rows as v groups of b, and an upper bound on the logits."""
    tau = inputs.check_temperature(temperature)
    x = scaling.scaled(jnp.swapaxes(scaling.divided(views, mesh), 0, 1), tau)
    num_views, num_images, _ = x.shape
    row = jnp.arange(num_views * num_images, dtype=jnp.int32)
    label = scaling.replicated(labels, mesh).astype(jnp.int32)
    label = jnp.broadcast_to(label, (num_views, num_images))
    rows = similarity.Rows(x, row.reshape(num_views, num_images), label)
    return rows, scaling.bound_on_logits(temperature)


def _row_losses(found):
    """Returns the loss of every row, [v b]: ``L_i - mean_p s_ip / tau``.

    It is 0 for rows without positives.
    """
    count = found.positives.num_positives
    mean_positive = found.positives.total / jnp.maximum(count, 1)
    return jnp.where(count > 0, found.logsumexp - mean_positive, 0.0)


def _sums(of_rows):
    """Returns the sum over all rows of each array, with a single collective."""
    return jnp.sum(jnp.stack(of_rows), axis=(1, 2))
