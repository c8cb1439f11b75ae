"""SupCon: SimCLR with labels, where all images of a class are positives.

Khosla et al. 2020, "Supervised Contrastive Learning", https://arxiv.org/abs/2004.11362,
equation 2 (L_out).
"""

from typing import Any, final

from simclr_jax import losses
from simclr_jax.methods import base, view_pair


@final
@base.METHODS.register("supcon")
class SupCon(view_pair.ViewPairMethod):
    """Pulls the views of a class together, away from those of other classes.

    With labels that all differ it is SimCLR. Images without a label (-1) are positives
    of themselves alone.
    """

    inputs = ("image", "label")

    def loss(self, outputs, batch, *, step, execution):
        """Computes L_out in nats; metrics as ``losses.supcon_with_metrics``."""
        del step
        labels: Any = batch["label"]
        return losses.supcon_with_metrics(
            outputs["z"],
            base.distinct_labels(labels),
            temperature=self.temperature,
            mesh=execution.mesh,
            algorithm=execution.loss_algorithm,
        )
