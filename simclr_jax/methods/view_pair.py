"""What methods share that embed two views of each image with one encoder and head."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from simclr_jax import augment, nn
from simclr_jax.core import checks
from simclr_jax.methods import base


class ViewPairMethod(base.Method):
    """Two views of each image, one encoder, one head, a loss with a temperature.

    Attributes:
      head: h [b d] to z [b d'].
    """

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
            ``nn.ProjectionHead``.
          dtype: of the head's activations.
          rngs: source of the head's initial weights; not needed with a module.

        Raises:
          UserError: if the temperature is not positive, or an option of the head is
            unknown.
        """
        checks.check_positive("temperature", temperature)
        self.encoder = encoder
        self.head = nn.build_head(head, encoder, dtype=dtype, rngs=rngs)
        self.augmentation = augmentation
        self.temperature = temperature

    def forward(self, batch, keys):
        """Embeds two views of each image: ``h`` [b d] of the first, ``z`` [b 2 d']."""
        views = augment.two_views(keys, batch["image"], self.augmentation)
        h = base.embed_together(self.encoder, views, keys)
        z = self.head(h.reshape(-1, h.shape[-1]))
        return {"h": h[:, 0], "z": z.reshape(*h.shape[:2], -1)}
