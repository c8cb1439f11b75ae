"""Dense reference losses that follow the papers' equations; the oracle in tests."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from simclr_jax.core import numerics, types
from simclr_jax.losses import inputs


def ntxent_reference(
    a: types.Embedding, b: types.Embedding, *, temperature: float | types.Scalar
) -> types.Scalar:
    """Computes the normalized temperature-scaled cross entropy (NT-Xent), dense form.

    Row i of the 2b rows has one positive, the other view of the same image, and
    2b - 2 negatives, all other rows of the batch:

      l(i, j) = -log( exp(s_ij / tau) / sum_{k != i} exp(s_ik / tau) )

    with s the cosine similarity. Memory is O(b^2): several 2b x 2b matrices are
    materialized. Training uses ``ntxent``, which has the same value and gradient.

    Args:
      a: first views, [b d], of any float type; need not be normalized.
      b: second views, [b d]; row i shows the same image as ``a[i]``.
      temperature: tau > 0, dimensionless; a number or a traced scalar.

    Returns:
      The mean of l over the 2b rows, a float32 scalar in nats. The authors' code
      returns twice this value.

    Raises:
      UserError: if the shapes differ, the rank is not 2, b < 2, or ``temperature`` is
        a number that is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import losses
      >>> views = jnp.eye(4)  # identical positives, orthogonal negatives
      >>> print(f"{losses.ntxent_reference(views, views, temperature=0.5):.3f}")
      0.594

    References:
      Chen et al., "A Simple Framework for Contrastive Learning of Visual
      Representations", 2020, equation 1. https://arxiv.org/abs/2002.05709
    """
    inputs.check_views("ntxent_reference", a, b)
    temperature = inputs.check_temperature(temperature)
    z = jnp.concatenate([numerics.l2_normalize(a), numerics.l2_normalize(b)])  # [n d]
    num_rows = z.shape[0]
    row = jnp.arange(num_rows)
    positive = (row + num_rows // 2) % num_rows

    s = jnp.matmul(z, z.T, precision=jax.lax.Precision.HIGHEST)  # [n n]
    is_self = row[:, None] == row[None, :]
    logits = jnp.where(is_self, -jnp.inf, s / temperature)
    log_probability = jax.nn.log_softmax(logits, axis=-1)
    return -jnp.mean(log_probability[row, positive])


def supcon_reference(
    views: Float[Array, "b v d"],
    labels: Int[Array, " b"],
    *,
    temperature: float | types.Scalar,
) -> types.Scalar:
    """Computes the supervised contrastive loss (SupCon), L_out, dense form.

      l(i) = -1 / |P(i)| sum_{p in P(i)} log p_ip
      p_ij = exp(s_ij / tau) / sum_{a != i} exp(s_ia / tau)

    with P(i) the other rows that have the label of row i. Memory is O((b v)^2).
    Training uses ``supcon``, which has the same value and gradient.

    Args:
      views: embeddings of v >= 1 views of each image, [b v d], of any float type.
      labels: the class of each image, [b].
      temperature: tau > 0, dimensionless; a number or a traced scalar.

    Returns:
      The mean of l over the rows that have a positive, a float32 scalar in nats; 0 if
      no row has one.

    Raises:
      UserError: if a shape or type is wrong, there are fewer than 2 rows, or
        ``temperature`` is a number that is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import losses
      >>> views = jnp.eye(4)[:, None]  # one view of each of four images
      >>> labels = jnp.array([0, 0, 1, 1])
      >>> print(f"{losses.supcon_reference(views, labels, temperature=0.5):.3f}")
      1.099

    References:
      Khosla et al., "Supervised Contrastive Learning", 2020, equation 2.
      https://arxiv.org/abs/2004.11362
    """
    inputs.check_labeled_views("supcon_reference", views, labels, None)
    temperature = inputs.check_temperature(temperature)
    num_views, dim = views.shape[1:]
    z = numerics.l2_normalize(views).reshape(-1, dim)  # [n d]
    label = jnp.repeat(labels, num_views)
    row = jnp.arange(z.shape[0])
    is_self = row[:, None] == row[None, :]
    is_positive = (label[:, None] == label[None, :]) & ~is_self

    s = jnp.matmul(z, z.T, precision=jax.lax.Precision.HIGHEST)  # [n n]
    logits = jnp.where(is_self, -jnp.inf, s / temperature)
    log_probability = jax.nn.log_softmax(logits, axis=-1)
    total = jnp.sum(jnp.where(is_positive, log_probability, 0.0), axis=-1)
    count = jnp.sum(is_positive.astype(jnp.float32), axis=-1)
    row_loss = -total / jnp.maximum(count, 1)  # [n]
    return jnp.sum(row_loss) / jnp.maximum(jnp.sum(jnp.sign(count)), 1)
