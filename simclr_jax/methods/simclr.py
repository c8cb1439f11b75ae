"""SimCLR: two views of each image, one encoder, one head, NT-Xent.

Chen et al. 2020, https://arxiv.org/abs/2002.05709, algorithm 1.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from simclr_jax import augment, losses
from simclr_jax.core import checks, types


class SimCLR(nnx.Module):
    """The method of the paper; works with any encoder and any augmentation.

    Attributes:
      trainable: every ``nnx.Param``.
      encoder: images [b h w c] to h [b d].
      head: h to z [b d'].
    """

    trainable = nnx.Param

    def __init__(
        self,
        encoder: nnx.Module,
        head: nnx.Module,
        *,
        augmentation: augment.Recipe,
        temperature: float,
        mesh: jax.sharding.Mesh | None = None,
    ):
        """Puts the parts together.

        Args:
          encoder: images [b h w c] in [0, 1] to features [b d].
          head: features [b d] to embeddings [b d'].
          augmentation: makes two views of one size; comparable and hashable.
          temperature: of the loss, > 0, dimensionless.
          mesh: devices over whose axis ``data`` the batch is split; None: one device.

        Raises:
          UserError: if the temperature is not positive.
        """
        checks.check_positive("temperature", temperature)
        self.encoder = encoder
        self.head = head
        self.augmentation = augmentation
        self.temperature = temperature
        self.mesh = mesh

    def embed(self, images: types.Images) -> types.Embedding:
        """Returns h [b d], the output of the encoder, of images [b h w c] in [0, 1]."""
        return self.encoder(images)

    def project(self, images: types.Images) -> types.Embedding:
        """Returns z [b d'], the output of the head, of images [b h w c] in [0, 1]."""
        return self.head(self.encoder(images))

    def loss(
        self, batch: dict[str, Any], *, key: types.PRNGKey, step: jax.Array | int
    ) -> tuple[types.Scalar, types.Metrics]:
        """Returns the loss of a batch and its metrics.

        Both views of an image stand side by side in one pass of the encoder, so that
        BatchNorm sees both, and splitting the batch over devices splits no pair.

        Args:
          batch: ``image``: uint8 in [0, 255] or float32 in [0, 1], shape [b h w c], or
            a ``types.Canvas`` of such.
          key: the key of this step; every image and view derives its own.
          step: number of updates so far; not used.

        Returns:
          NT-Xent, a float32 scalar in nats, and the metrics of
          ``losses.ntxent_with_metrics``.

        Raises:
          UserError: if the augmentation does not make two views of one size.
        """
        del step
        a, b = augment.two_views(key, batch["image"], self.augmentation)
        num_images = a.shape[0]
        views = jnp.stack([a, b], axis=1).reshape(2 * num_images, *a.shape[1:])
        z = self.project(views).reshape(num_images, 2, -1)
        return losses.ntxent_with_metrics(
            z[:, 0], z[:, 1], temperature=self.temperature, mesh=self.mesh
        )

    def after_update(self, step: jax.Array) -> None:
        """Does nothing: SimCLR has no moving parts."""
        del step
