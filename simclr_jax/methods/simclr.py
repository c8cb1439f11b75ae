"""SimCLR: two views of each image, one encoder, one head, NT-Xent.

Chen et al. 2020, https://arxiv.org/abs/2002.05709, algorithm 1.
"""

from typing import final

from simclr_jax import losses
from simclr_jax.methods import base, view_pair


@final
@base.METHODS.register("simclr")
class SimCLR(view_pair.ViewPairMethod):
    """Pulls two views of an image together, away from all other views of the batch."""

    def loss(self, outputs, batch, *, step, execution):
        """Computes NT-Xent in nats; metrics as ``losses.ntxent_with_metrics``."""
        del batch, step
        z = outputs["z"]
        return losses.ntxent_with_metrics(
            z[:, 0],
            z[:, 1],
            temperature=self.temperature,
            mesh=execution.mesh,
            algorithm=execution.loss_algorithm,
        )
