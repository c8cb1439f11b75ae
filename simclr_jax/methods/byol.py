"""BYOL: an online network predicts what a slowly moving copy of it says.

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
"""Options of the head and of the predictor in the paper."""


@final
@base.METHODS.register("byol")
class BYOL(base.Method):
    """Predicts the target's embedding of one view from the other view; no negatives.

    The target is an exponential moving average (EMA) of encoder and head, moved after
    each update; the statistics of its BatchNorms come from its own forward pass.

    Attributes:
      head: h [b d] to z [b d'].
      predictor: z [b d'] to the prediction of the target's z [b d'].
      target: the moving average of encoder and head.
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
        """Puts the parts together; the target starts as a copy of the online network.

        Args:
          encoder: images [b h w c] in [0, 1] to features [b d].
          augmentation: makes two views of one size, alike or not.
          num_steps: updates in the run, for the schedule of the decay.
          head: h to z, or options of ``nn.ProjectionHead`` over ``HEAD``.
          predictor: z to z, or options of ``nn.ProjectionHead`` over ``HEAD``.
          decay: of the moving average at the first update, in [0, 1]; rises to 1 as
            half a cosine (appendix B).
          dtype: of the activations of head and predictor.
          rngs: source of the initial weights of head and predictor.

        Raises:
          UserError: if the decay is out of range, an option is unknown, or the
            predictor's output is not as wide as the head's.
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
        """Embeds two views of each image, each in a pass of its own.

        Returns ``h`` [b d] of the first view by the encoder, ``prediction`` and
        ``target``, both [b 2 d'] in the order of the views.
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

        ``sum over both directions of 2 - 2 cos(prediction, target)`` (equation 2): 0 if
        they agree, 8 if they are opposite, 4 for unrelated ones.
        """
        del batch, step, execution
        prediction, wanted = outputs["prediction"], outputs["target"]
        first = losses.negative_cosine(prediction[:, 0], wanted[:, 1])
        second = losses.negative_cosine(prediction[:, 1], wanted[:, 0])
        loss = 4 + 2 * (first + second)
        return loss, {"target_std": base.feature_std(wanted[:, 0])}

    def after_update(self, outputs, *, step):
        """Moves the target towards the updated online network."""
        del outputs
        decay = target.cosine_decay(self.decay, step=step, num_steps=self.num_steps)
        self.target.follow(self.encoder, self.head, decay=decay)

    def after_load(self, loaded):
        """Starts the target from the loaded encoder, unless it was loaded itself."""
        target.restart(self, loaded)
