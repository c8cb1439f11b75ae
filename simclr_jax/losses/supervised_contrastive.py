"""SupCon, the supervised contrastive loss: every view of a class is a positive."""

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
    """Computes the supervised contrastive loss (SupCon), L_out, in memory O(n d).

    Each of the n = b v rows is an anchor. With s the cosine similarity and P(i) the
    other rows with the label of row i, its loss is

      l(i) = log sum_{a != i} e^(s_ia / tau) - 1 / |P(i)| sum_{p in P(i)} s_ip / tau

    and the loss is the mean of l over the anchors that have a positive. Anchors without
    (a label that occurs once in the batch, with v = 1) have no loss of their own: they
    are left out of the mean and are negatives of the others. If no anchor has a
    positive, the loss is 0 with a gradient of 0.

    With v = 2 and labels that all differ this is NT-Xent, in value and gradient. The
    sum is computed by tiles, forward and backward, as for ``ntxent``; with a mesh,
    value and gradient are those of one device, and forward-mode differentiation is
    not supported.

    Args:
      views: embeddings of v >= 1 views of each image, [b v d], of any float type; need
        not be normalized. b v must be at least 2; every other size is allowed.
      labels: the class of each image, [b], any integers that fit into int32.
      temperature: tau > 0, dimensionless; a number, or a traced scalar, with respect to
        which the gradient is right too.
      mesh: the mesh over whose axis "data" the images are divided, b a multiple of its
        size; None for one device.
      algorithm: how rows are compared across devices, a name in ``ALGORITHMS``, as for
        ``ntxent``; does not affect results.

    Returns:
      A float32 scalar in nats. The authors' code returns this times tau / 0.07.

    Raises:
      UserError: if a shape or type is wrong, there are fewer than 2 rows,
        ``temperature`` is a number that is not positive, the mesh has no axis "data" or
        that does not divide b, or ``algorithm`` is unknown.

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
    """Computes the loss of ``supcon``, with what tells whether the run is healthy.

    Args:
      views: embeddings, [b v d], as for ``supcon``.
      labels: the class of each image, [b].
      temperature: tau > 0, as for ``supcon``.
      mesh: as for ``supcon``.
      algorithm: as for ``supcon``.

    Returns:
      The loss, and float32 scalars by name, constants to a gradient:

      * ``contrastive_accuracy``: the part of the anchors with positives whose nearest
        other row has their label. A tie counts as wrong.
      * ``entropy``: the mean entropy of the rows' distributions over all n - 1 others,
        in nats, at most ``chance_loss``.
      * ``alignment``: the mean squared distance of anchors to their positives on the
        unit sphere, in [0, 4]; lower is better.
      * ``uniformity``: the log of the mean of ``exp(-2 ||x - y||^2)`` over pairs of
        different labels, in [-8, 0]; lower is better; 0 without such pairs.
      * ``anchors_without_positives``: the part of the rows left out of the mean.
      * ``chance_loss``: ln(n - 1), the loss of a collapsed encoder.
      * ``floor_loss``: the loss of positives at cosine 1 among orthogonal negatives.

    Raises:
      UserError: as ``supcon``.
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
    """Returns the rows, in v groups of b, and a bound on the logits."""
    tau = inputs.check_temperature(temperature)
    x = scaling.scaled(jnp.swapaxes(scaling.divided(views, mesh), 0, 1), tau)
    num_views, num_images, _ = x.shape
    row = jnp.arange(num_views * num_images, dtype=jnp.int32)
    label = scaling.replicated(labels, mesh).astype(jnp.int32)
    label = jnp.broadcast_to(label, (num_views, num_images))
    rows = similarity.Rows(x, row.reshape(num_views, num_images), label)
    return rows, scaling.bound_on_logits(temperature)


def _row_losses(found):
    """Returns l of every row, [v b], 0 where there is no positive."""
    count = found.positives.num_positives
    mean_positive = found.positives.total / jnp.maximum(count, 1)
    return jnp.where(count > 0, found.logsumexp - mean_positive, 0.0)


def _sums(of_rows):
    """Returns the sums over all rows; one exchange between devices for all."""
    return jnp.sum(jnp.stack(of_rows), axis=(1, 2))
