"""SupCon: SimCLR with labels, where all images of a class are positives.

Khosla et al. 2020, "Supervised Contrastive Learning", https://arxiv.org/abs/2004.11362,
equation 2 (L_out).
"""

from collections.abc import Mapping
from typing import Any, final

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from simclr_jax import augment, heads, losses
from simclr_jax.core import checks
from simclr_jax.methods import base


@final
@base.METHODS.register("supcon")
class SupCon(base.Method):
    """Pulls the views of a class together, away from those of other classes.

    With labels that all differ it is SimCLR. Images without a label (-1) are positives
    of themselves alone.

    Attributes:
      head: h [b d] to z [b d'].
    """

    inputs = ("image", "label")

    def __init__(
        self,
        encoder: nnx.Module,
        *,
        augmentation: augment.Recipe,
        temperature: float = 0.1,
        head: nnx.Module | Mapping[str, Any] | None = None,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs | None = None,
    ):
        """Puts the parts together.

        Args:
          encoder: images [b h w c] in [0, 1] to features [b d].
          augmentation: makes two views of one size; comparable and hashable.
          temperature: of the loss, > 0, dimensionless.
          head: features [b d] to embeddings [b d'], or the options of
            ``heads.ProjectionHead``.
          dtype: of the head's activations.
          rngs: source of the head's initial weights; not needed with a module.

        Raises:
          UserError: if the temperature is not positive, or an option of the head is
            unknown.
        """
        checks.check_positive("temperature", temperature)
        self.encoder = encoder
        self.head = heads.build(head, encoder, dtype=dtype, rngs=rngs)
        self.augmentation = augmentation
        self.temperature = temperature

    def forward(self, batch, keys):
        """Embeds two views of each image: ``h`` [b d] of the first, ``z`` [b 2 d']."""
        views = augment.two_views(keys, batch["image"], self.augmentation)
        h = base.embed_together(self.encoder, views, keys)
        z = self.head(h.reshape(-1, h.shape[-1]))
        return {"h": h[:, 0], "z": z.reshape(*h.shape[:2], -1)}

    def loss(self, outputs, batch, *, step, execution):
        """Computes L_out in nats, and the metrics of ``losses.supcon_with_metrics``."""
        del step
        labels: Any = batch["label"]
        return losses.supcon_with_metrics(
            outputs["z"],
            base.distinct_labels(labels),
            temperature=self.temperature,
            mesh=execution.mesh,
            algorithm=execution.loss_algorithm,
        )
