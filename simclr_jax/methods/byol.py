"""BYOL: an online network predicts the embeddings of its moving average.

Two views of each image are embedded by the online network (encoder, head, predictor)
and by the target network (encoder, head), an exponential moving average of the online
one. The loss is the squared distance of the normalized prediction of one view from the
target's embedding of the other view, for both directions (equation 2):

  loss = sum over directions of || p / |p| - z' / |z'| ||^2 = 2 - 2 cos(p, z') each

No gradient reaches the target, and there are no negatives.

Grill et al. 2020, "Bootstrap your own latent", https://arxiv.org/abs/2006.07733,
algorithm 1 and appendix J (pseudo-code in JAX).
"""

from collections.abc import Mapping
from typing import Any, final

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from simclr_jax import augment, encoders, losses, nn
from simclr_jax.core import checks
from simclr_jax.methods import base, target

HEAD = {"hidden_dim": 4096, "output_dim": 256, "last_batch_norm": False}
"""Default options of the head and of the predictor, as in the paper."""


@final
@base.METHODS.register("byol")
class BYOL(base.Method):
    """Predicts the target network's embedding of one view from the other view.

    The target is an exponential moving average (EMA) of encoder and head, updated after
    each optimizer step; its BatchNorm statistics come from its own forward passes.

    Attributes:
      head: maps h [b d] to z [b d'].
      predictor: maps z [b d'] to a prediction of the target's z [b d'].
      target: the moving average of encoder and head.

    Example:
      >>> from flax import nnx
      >>> from simclr_jax import augment, encoders, methods
      >>> rngs = nnx.Rngs(0)
      >>> small = {"hidden_dim": 8, "output_dim": 4}
      >>> method = methods.BYOL(
      ...     encoders.ConvNet(image_shape=(8, 8, 1), rngs=rngs),
      ...     augmentation=augment.mnist(size=8),
      ...     num_steps=100,
      ...     head=small,
      ...     predictor=small,
      ...     rngs=rngs,
      ... )
      >>> method.predictor.output_dim
      4
    """

    trainable = target.EXCEPT_TARGET

    def __init__(
        self,
        encoder: nnx.Module,
        *,
        augmentation: augment.Recipe,
        num_steps: int,
        head: nnx.Module | Mapping[str, Any] | None = None,
        predictor: nnx.Module | Mapping[str, Any] | None = None,
        decay: float = 0.996,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Builds head, predictor and the target, a copy of encoder and head.

        Args:
          encoder: maps images [b h w c] in [0, 1] to features [b d].
          augmentation: recipe of two views of one size.
          num_steps: updates in the run, for the decay schedule.
          head: maps h to z, or options of ``nn.ProjectionHead`` that override ``HEAD``.
          predictor: maps z to z, or options that override ``HEAD``.
          decay: EMA decay at the first update, in [0, 1]; rises to 1 along half a
            cosine (appendix B).
          dtype: of the activations of head and predictor.
          rngs: source of the initial weights of head and predictor.

        Raises:
          UserError: if the decay is out of range, an option is unknown, or predictor
            and head differ in output width.
        """
        checks.check_in_range("decay", decay, low=0.0, high=1.0)
        self.encoder = encoder
        self.head = nn.build_head(head, encoder, default=HEAD, dtype=dtype, rngs=rngs)
        width = {"output_dim": self.head.output_dim}
        self.predictor = nn.build_head(
            predictor, self.head, default=HEAD | width, dtype=dtype, rngs=rngs
        )
        nn.check_same_width("predictor", self.predictor, "head", self.head)
        self.target = target.copy_of(encoder, self.head)
        self.augmentation = augmentation
        self.num_steps = num_steps
        self.decay = decay

    def forward(self, batch, keys):
        """Embeds two views of each image, each in a separate pass.

        Returns ``h`` [b d] of the first view, ``prediction`` and ``target``, both
        [b 2 d'] in the order of the views.
        """
        views = augment.two_views(keys, batch["image"], self.augmentation)
        drawn = [base.encoder_keys(keys, view=number) for number in range(2)]
        pairs = list(zip(views, drawn, strict=True))
        h = [encoders.apply(self.encoder, view, keys=own) for view, own in pairs]
        predictions = [self.predictor(self.head(features)) for features in h]
        targets = [self.target(view, keys=own) for view, own in pairs]
        return {
            "h": h[0],
            "prediction": jnp.stack(predictions, axis=1),
            "target": jax.lax.stop_gradient(jnp.stack(targets, axis=1)),
        }

    def loss(self, outputs, batch, *, step, execution):
        """Computes the squared distance of normalized vectors, summed over directions.

        Equation 2, ``2 - 2 cos(prediction, target)`` in each of both directions: 0 for
        equal, 4 for orthogonal, 8 for opposite vectors.
        """
        del batch, step, execution
        prediction, wanted = outputs["prediction"], outputs["target"]
        first = losses.negative_cosine(prediction[:, 0], wanted[:, 1])
        second = losses.negative_cosine(prediction[:, 1], wanted[:, 0])
        loss = 4 + 2 * (first + second)
        return loss, {"target_std": base.feature_std(wanted[:, 0])}

    def after_update(self, outputs, *, step):
        """Updates the target: ``target = decay * target + (1 - decay) * online``."""
        del outputs
        decay = target.cosine_decay(self.decay, step=step, num_steps=self.num_steps)
        self.target.follow(self.encoder, self.head, decay=decay)

    def after_load(self, loaded):
        """Copies the loaded weights to the target, unless it was loaded as well."""
        target.restart(self, loaded)
