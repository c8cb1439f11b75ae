"""SimCLR: contrasts two augmented views of each image with all other views.

Both views of the b images are embedded by one encoder and one head. For row i of the 2b
rows, with the other view of the same image as positive p (equation 1):

  l(i, p) = -log( exp(s_ip / tau) / sum_{k != i} exp(s_ik / tau) ),  s cosine similarity

The loss (NT-Xent) is the mean of l over all rows; after training the head is discarded.

Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual
Representations", https://arxiv.org/abs/2002.05709, algorithm 1.
"""

from typing import final

from simclr_jax import losses
from simclr_jax.methods import base, view_pair


@final
@base.METHODS.register("simclr")
class SimCLR(view_pair.ViewPairMethod):
    """Pulls two views of an image together and away from all other views of the batch.

    Example:
      >>> from flax import nnx
      >>> from simclr_jax import augment, encoders, methods
      >>> rngs = nnx.Rngs(0)
      >>> method = methods.SimCLR(
      ...     encoders.ConvNet(image_shape=(8, 8, 1), rngs=rngs),
      ...     augmentation=augment.mnist(size=8),
      ...     temperature=0.5,
      ...     head={"hidden_dim": 8, "output_dim": 4},
      ...     rngs=rngs,
      ... )
      >>> method.head.output_dim
      4
    """

    def loss(self, outputs, batch, *, step, execution):
        """Computes NT-Xent in nats; metrics as in ``losses.ntxent_with_metrics``."""
        del batch, step
        z = outputs["z"]
        return losses.ntxent_with_metrics(
            z[:, 0],
            z[:, 1],
            temperature=self.temperature,
            mesh=execution.mesh,
            algorithm=execution.loss_algorithm,
        )
