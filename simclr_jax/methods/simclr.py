"""SimCLR: two views of each image, one encoder, one head, NT-Xent.

Chen et al. 2020, https://arxiv.org/abs/2002.05709, algorithm 1.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from simclr_jax import augment, losses
from simclr_jax.core import checks, registry, types
from simclr_jax.methods import accumulation


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
        accumulate: int = 1,
        schedule: str = "auto",
    ):
        """Puts the parts together.

        Args:
          encoder: images [b h w c] in [0, 1] to features [b d].
          head: features [b d] to embeddings [b d'].
          augmentation: makes two views of one size; comparable and hashable.
          temperature: of the loss, > 0, dimensionless.
          mesh: devices over whose axis ``data`` the batch is split; None: one device.
          accumulate: micro-batches that a batch is embedded in, one after the other.
          schedule: how the devices meet each other's rows in the loss, a name in
            ``losses.ALGORITHMS``; changes no number.

        Raises:
          UserError: if the temperature or ``accumulate`` is not positive, or the
            schedule is unknown.
        """
        checks.check_positive("temperature", temperature)
        checks.check_positive_int("accumulate", accumulate)
        registry.lookup("schedule", schedule, losses.ALGORITHMS)
        self.encoder = encoder
        self.head = head
        self.augmentation = augmentation
        self.temperature = temperature
        self.mesh = mesh
        self.accumulate = accumulate
        self.schedule = schedule

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

        With ``accumulate`` above one, only the views and activations of one micro-batch
        are alive at a time, and the backward pass draws and embeds each once more. The
        views, the negatives (all images of the batch), the loss and the gradient are
        those of the whole batch, but for one thing: BatchNorm normalizes by the
        statistics of the micro-batch (over all devices). Its running averages are
        updated once, with the mean of the micro-batches' statistics.

        Args:
          batch: ``image``: uint8 in [0, 255] or float32 in [0, 1], shape [b h w c], or
            a ``types.Canvas`` of such.
          key: the key of this step; every image and view derives its own.
          step: number of updates so far; not used.

        Returns:
          NT-Xent, a float32 scalar in nats, and the metrics of
          ``losses.ntxent_with_metrics``.

        Raises:
          UserError: if the augmentation does not make two views of one size, or
            ``accumulate`` times the devices does not divide the batch.
        """
        del step
        if self.accumulate == 1:
            z = _project_views(self, batch["image"], 0, key=key)
        else:
            z = accumulation.map_micro_batches(
                self,
                functools.partial(_project_views, key=key),
                batch["image"],
                num_micro_batches=self.accumulate,
                mesh=self.mesh,
            )
        return losses.ntxent_with_metrics(
            z[:, 0],
            z[:, 1],
            temperature=self.temperature,
            mesh=self.mesh,
            algorithm=self.schedule,
        )

    def after_update(self, step: jax.Array) -> None:
        """Does nothing: SimCLR has no moving parts."""
        del step


def _project_views(method, images, first_index, *, key):
    """Returns z [b 2 d] of the views of a (micro-)batch."""
    a, b = augment.two_views(
        key,
        images,
        method.augmentation,
        first_index=first_index,
        index_step=method.accumulate,
    )
    num_images = a.shape[0]
    views = jnp.stack([a, b], axis=1).reshape(2 * num_images, *a.shape[1:])
    return method.project(views).reshape(num_images, 2, -1)
