"""NT-Xent, the loss of SimCLR, for training: exact, tiled, on one or more devices.

``reference.ntxent_reference`` is the same function in its dense form.
"""

import jax
import jax.numpy as jnp

from simclr_jax.core import types
from simclr_jax.losses import diagnostics, inputs, scaling, similarity


def ntxent(
    a: types.Embedding,
    b: types.Embedding,
    *,
    temperature: float | types.Scalar,
    mesh: jax.sharding.Mesh | None = None,
    algorithm: str = "auto",
) -> types.Scalar:
    """Computes the normalized temperature-scaled cross entropy (NT-Xent), tiled.

    The value and the gradient are those of ``ntxent_reference``. With s the cosine
    similarity and L_i the log-sum-exp of ``s_ij / tau`` over the 2b - 2 negatives, the
    loss of row i with positive p is

      l(i, p) = -log( e^(s_ip / tau) / (e^(s_ip / tau) + e^L_i) )
              = softplus(L_i - s_ip / tau)

    which keeps its relative precision when the loss is small. L is computed in tiles
    of the 2b x 2b similarity matrix (see ``similarity``), so memory is O(b d).

    With a mesh of N devices, each device holds b / N images, receives the embeddings of
    all images, and computes the loss and the complete gradient of its own rows. Value
    and gradient equal those of a single device for every algorithm; the caller must
    not average them over devices.

    The backward pass is a custom VJP, so forward-mode differentiation (``jax.jvp``,
    ``jax.hessian``) raises a TypeError; use ``ntxent_reference`` there.

    Args:
      a: first views, [b d], of any float type; need not be normalized. Norms,
        logits and sums are float32 whatever the type.
      b: second views, [b d]; row i shows the same image as ``a[i]``.
      temperature: tau > 0, dimensionless. A Python number, or a traced scalar, which
        also receives a gradient. If tau is not learned, pass a number of at least 1/30:
        the triangular algorithm requires it.
      mesh: the mesh over whose axis "data" the images are sharded, or None for one
        device.
      algorithm: how rows are compared with columns, a key of ``ALGORITHMS``:

        * "gathered": each device gathers all columns, [2b d], once.
        * "ring": blocks of columns are passed around the devices; no device ever holds
          all of them.
        * "triangular": like "ring", but each pair of rows is computed only once: value
          and gradient take two products of 4 b^2 d instead of three. If
          ``temperature`` is traced or below 1/30, "ring" is used instead, which on one
          device compares all rows with all rows.
        * "auto": "triangular" on one device; on several devices "gathered" if the
          columns take at most 256 MiB, else "ring".

    Returns:
      The mean over the 2b rows, a float32 scalar in nats. The authors' code returns
      twice this value.

    Raises:
      UserError: if the shapes differ, the rank is not 2, b < 2, ``temperature`` is a
        number that is not positive, the mesh has no axis "data", that axis does not
        divide b, or ``algorithm`` is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import losses
      >>> views = jnp.eye(4)  # identical positives, orthogonal negatives
      >>> print(f"{losses.ntxent(views, views, temperature=0.5):.3f}")
      0.594

    References:
      Chen et al., "A Simple Framework for Contrastive Learning of Visual
      Representations", 2020, equation 1. https://arxiv.org/abs/2002.05709
    """
    _check("ntxent", a, b, mesh)
    x, bound = _scaled_views(a, b, temperature, mesh)
    found = similarity.compare(
        _with_images(x), bound=bound, mesh=mesh, algorithm=algorithm
    )
    return jnp.mean(_row_losses(x, found.logsumexp))


def ntxent_with_metrics(
    a: types.Embedding,
    b: types.Embedding,
    *,
    temperature: float | types.Scalar,
    mesh: jax.sharding.Mesh | None = None,
    algorithm: str = "auto",
) -> tuple[types.Scalar, types.Metrics]:
    """Computes the loss of ``ntxent`` and metrics that reveal a collapsed encoder.

    The metrics reuse the tiles of the loss and, like the loss, do not depend on the
    number of devices. They have no gradient.

    Args:
      a: first views, [b d], as for ``ntxent``.
      b: second views, [b d].
      temperature: tau > 0, as for ``ntxent``.
      mesh: as for ``ntxent``.
      algorithm: as for ``ntxent``.

    Returns:
      The loss, and float32 scalars by name:

      * ``contrastive_accuracy``: the fraction of the 2b rows whose positive is nearer
        than all 2b - 2 negatives. A tie counts as wrong, so a collapsed encoder scores
        0. The authors' code omits the b - 1 negatives of the same view, which gives
        higher values.
      * ``entropy``: the mean entropy of the rows' distributions over the 2b - 1
        candidates, in nats, at most ``chance_loss``.
      * ``alignment``: the mean squared distance of positives on the unit sphere, in
        [0, 4]; lower is better.
      * ``uniformity``: the log of the mean of ``exp(-2 ||x - y||^2)`` over pairs of
        different images, over all views, in [-8, 0]; lower is better.
      * ``chance_loss`` and ``floor_loss``: the values of the functions of that name.

    Raises:
      UserError: as for ``ntxent``.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import losses
      >>> views = jnp.eye(4)
      >>> loss, metrics = losses.ntxent_with_metrics(views, views, temperature=0.5)
      >>> print(metrics["contrastive_accuracy"], metrics["alignment"])
      1.0 0.0

    References:
      Wang and Isola, "Understanding Contrastive Representation Learning through
      Alignment and Uniformity on the Hypersphere", 2020, section 4.
      https://arxiv.org/abs/2005.10242
    """
    _check("ntxent_with_metrics", a, b, mesh)
    x, bound = _scaled_views(a, b, temperature, mesh)
    tau = jax.lax.stop_gradient(jnp.asarray(temperature, jnp.float32))
    found = similarity.compare(
        _with_images(x), bound=bound, mesh=mesh, algorithm=algorithm, distance_scale=tau
    )
    of_rows = diagnostics.of_rows(
        jnp.sum(x[0] * x[1], axis=-1)[None, :],
        jnp.sum((x[0] - x[1]) ** 2, axis=-1)[None, :],
        found,
        temperature=tau,
    )
    of_rows["loss"] = _row_losses(x, found.logsumexp)
    loss, means = diagnostics.loss_and_means(of_rows)
    return loss, diagnostics.metrics(means, 2 * len(a) - 2, temperature=tau)


def _check(name, a, b, mesh):
    inputs.check_views(name, a, b)
    inputs.check_mesh(name, a, mesh)


def _scaled_views(a, b, temperature, mesh):
    """Returns x [2 b d] with ``x x^T = s / tau``, and an upper bound on the logits."""
    tau = inputs.check_temperature(temperature)
    a, b = scaling.divided(a, mesh), scaling.divided(b, mesh)
    views = jnp.stack([a.astype(jnp.float32), b.astype(jnp.float32)])
    return scaling.scaled(views, tau), scaling.bound_on_logits(temperature)


def _with_images(x):
    """Returns rows whose id is their image, so that L leaves out the positive."""
    image = jnp.arange(x.shape[1], dtype=jnp.int32)
    return similarity.Rows(x, jnp.broadcast_to(image, x.shape[:2]))


def _row_losses(x, logsumexp):
    """Returns the loss of every row, [2 b]: ``softplus(L_i - s_ip / tau)``."""
    positive = jnp.sum(x[0] * x[1], axis=-1)
    return jax.nn.softplus(logsumexp - positive[None, :])
