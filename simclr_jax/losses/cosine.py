"""The negative cosine of predictions and targets, as BYOL and SimSiam use it."""

import jax.numpy as jnp

from simclr_jax.core import numerics, types
from simclr_jax.losses import inputs


def negative_cosine(p: types.Embedding, z: types.Embedding) -> types.Scalar:
    """Computes the mean negative cosine similarity of the rows of two batches.

      -mean_i <p_i, z_i> / (|p_i| |z_i|)

    The loss of BYOL for one direction is ``2 + 2 * negative_cosine(p, z)``, that of
    SimSiam ``negative_cosine(p, z)``. The gradient reaches both arguments; stop it with
    ``jax.lax.stop_gradient`` where the method does. The mean over a batch divided over
    devices is that over all of it.

    Args:
      p: predictions, [b d], of any float type; need not be normalized.
      z: targets, [b d]; row i belongs to ``p[i]``.

    Returns:
      A float32 scalar in [-1, 1]. Rows of zeros count as 0, with a gradient of zero.

    Raises:
      UserError: if the shapes differ, the rank is not 2, or a type is not float.

    References:
      Grill et al., "Bootstrap your own latent", 2020, equation 2.
      https://arxiv.org/abs/2006.07733. Chen and He, "Exploring simple Siamese
      representation learning", 2020, equation 1. https://arxiv.org/abs/2011.10566
    """
    inputs.check_views("negative_cosine", p, z, fewest=1)
    cosine = jnp.sum(numerics.l2_normalize(p) * numerics.l2_normalize(z), axis=-1)
    return -jnp.mean(cosine)
