"""Base class of methods that embed two views with one encoder and one head."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from simclr_jax import augment, nn
from simclr_jax.core import checks
from simclr_jax.methods import base


class ViewPairMethod(base.Method):
    """Embeds two views of each image; subclasses define a loss with a temperature.

    Attributes:
      head: maps h [b d] to z [b d'].
      augmentation: recipe of the two views.
      temperature: of the loss, > 0, dimensionless.

    Example:
      >>> from flax import nnx
      >>> from simclr_jax import augment, encoders, losses, methods
      >>> class Aligned(methods.ViewPairMethod):
      ...     def loss(self, outputs, batch, *, step, execution):
      ...         z = outputs["z"]  # [b 2 d]
      ...         return losses.negative_cosine(z[:, 0], z[:, 1]), {}
      >>> rngs = nnx.Rngs(0)
      >>> method = Aligned(
      ...     encoders.ConvNet(image_shape=(8, 8, 1), rngs=rngs),
      ...     augmentation=augment.mnist(size=8),
      ...     rngs=rngs,
      ... )
      >>> method.temperature
      0.1
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
        """Builds the head.

        Args:
          encoder: maps images [b h w c] in [0, 1] to features [b d].
          augmentation: recipe of two views of one size; must be hashable.
          temperature: of the loss, > 0, dimensionless.
          head: maps features [b d] to embeddings [b d'], or options of
            ``nn.ProjectionHead``.
          dtype: of the head's activations.
          rngs: source of the head's initial weights; unused if ``head`` is a module.

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
        """Embeds two views of each image.

        Returns ``h`` [b d] of the first view and ``z`` [b 2 d'].
        """
        views = augment.two_views(keys, batch["image"], self.augmentation)
        h = base.embed_together(self.encoder, views, keys)
        z = self.head(h.reshape(-1, h.shape[-1]))
        return {"h": h[:, 0], "z": z.reshape(*h.shape[:2], -1)}
