"""Negative cosine similarity, the loss of BYOL and SimSiam."""

import jax.numpy as jnp

from simclr_jax.core import numerics, types
from simclr_jax.losses import inputs


def negative_cosine(p: types.Embedding, z: types.Embedding) -> types.Scalar:
    """Computes the mean negative cosine similarity of the rows of two batches.

      -mean_i <p_i, z_i> / (|p_i| |z_i|)

    The loss of BYOL for one direction is ``2 + 2 * negative_cosine(p, z)``, the loss of
    SimSiam is ``negative_cosine(p, z)``. Both arguments receive a gradient; apply
    ``jax.lax.stop_gradient`` to the targets as the method requires. If the batch is
    sharded over devices, the mean is over the global batch.

    Args:
      p: predictions, [b d], of any float type; need not be normalized.
      z: targets, [b d]; row i is the target of ``p[i]``.

    Returns:
      A float32 scalar in [-1, 1]. A row of zeros contributes 0 and has a gradient of 0.

    Raises:
      UserError: if the shapes differ, the rank is not 2, or a type is not float.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import losses
      >>> predictions = jnp.array([[3.0, 0.0], [0.0, 1.0]])
      >>> print(losses.negative_cosine(predictions, jnp.eye(2)))
      -1.0

    References:
      Grill et al., "Bootstrap your own latent", 2020, equation 2.
      https://arxiv.org/abs/2006.07733. Chen and He, "Exploring simple Siamese
      representation learning", 2020, equation 1. https://arxiv.org/abs/2011.10566
    """
    inputs.check_views("negative_cosine", p, z, fewest=1)
    cosine = jnp.sum(numerics.l2_normalize(p) * numerics.l2_normalize(z), axis=-1)
    return -jnp.mean(cosine)
