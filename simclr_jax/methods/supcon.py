"""SupCon: SimCLR with labels, where all views of a class are positives.

Both views of the b images are embedded by one encoder and one head. For row i of the 2b
rows, with P(i) the other rows that have its label (equation 2, L_out):

  l(i) = -1 / |P(i)| sum_{p in P(i)} log p_ip
  p_ij = exp(s_ij / tau) / sum_{k != i} exp(s_ik / tau),  s cosine similarity

With distinct labels this is SimCLR.

Khosla et al. 2020, "Supervised Contrastive Learning", https://arxiv.org/abs/2004.11362,
equation 2 (L_out).
"""

from typing import Any, final

from simclr_jax import losses
from simclr_jax.methods import base, view_pair


@final
@base.METHODS.register("supcon")
class SupCon(view_pair.ViewPairMethod):
    """Pulls the views of a class together and away from those of other classes.

    For images without a label (-1), only the other view is a positive, as in SimCLR.

    Example:
      >>> from flax import nnx
      >>> from simclr_jax import augment, encoders, methods
      >>> rngs = nnx.Rngs(0)
      >>> method = methods.SupCon(
      ...     encoders.ConvNet(image_shape=(8, 8, 1), rngs=rngs),
      ...     augmentation=augment.mnist(size=8),
      ...     head={"hidden_dim": 8, "output_dim": 4},
      ...     rngs=rngs,
      ... )
      >>> method.inputs
      ('image', 'label')
    """

    inputs = ("image", "label")

    def loss(self, outputs, batch, *, step, execution):
        """Computes L_out in nats; metrics as in ``losses.supcon_with_metrics``."""
        del step
        labels: Any = batch["label"]
        return losses.supcon_with_metrics(
            outputs["z"],
            base.distinct_labels(labels),
            temperature=self.temperature,
            mesh=execution.mesh,
            algorithm=execution.loss_algorithm,
        )
