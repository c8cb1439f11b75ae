"""MoCo v2: contrasts queries with a queue of keys from a momentum encoder.

One view of each image is embedded as a query q by the online network, the other as a
key k+ by the target network, an exponential moving average of the online one. The
negatives are the keys of past batches, kept in a queue of K rows (equation 1):

  l(q) = -log( exp(q k+ / tau) / (exp(q k+ / tau) + sum_{k in queue} exp(q k / tau)) )

So the number of negatives does not depend on the batch size.

He et al. 2019, "Momentum Contrast", https://arxiv.org/abs/1911.05722, algorithm 1;
Chen et al. 2020, "Improved Baselines with Momentum Contrastive Learning",
https://arxiv.org/abs/2003.04297 (head, temperature).
"""

from collections.abc import Mapping
from typing import Any, final

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from simclr_jax import augment, encoders, losses, nn
from simclr_jax.core import checks, errors, numerics
from simclr_jax.methods import base, target
from simclr_jax.nn import normalization, shuffle

HEAD = {"output_dim": 128, "batch_norm": False}
"""Default options of the head (v2); its hidden layer is as wide as the features."""


class Queue(nnx.Variable):
    """Keys of past batches; written only in ``after_update``."""


_SHUFFLE = 2_000_000  # larger than any view index, so that keys never coincide


@final
@base.METHODS.register("moco")
class MoCo(base.Method):
    """Identifies the key of an image's other view among the keys of past batches.

    Keys are computed by the target, a moving average of encoder and head. Step t writes
    its b keys to the queue from row (t b) mod K on, so the queue depends only on the
    step: a resumed run has the same queue.

    With BatchNorm over the whole batch, the statistics would reveal which key belongs
    to the current batch. BatchNorm therefore uses statistics over fixed groups of the
    batch, and the target embeds the images in shuffled order.

    Attributes:
      head: maps h [b d] to z [b d'].
      target: the moving average of encoder and head.
      queue: normalized keys, float32 [K d'].

    Example:
      >>> from flax import nnx
      >>> from simclr_jax import augment, encoders, methods
      >>> rngs = nnx.Rngs(0)
      >>> method = methods.MoCo(
      ...     encoders.ConvNet(image_shape=(8, 8, 1), rngs=rngs),
      ...     augmentation=augment.mnist(size=8),
      ...     batch_size=8,
      ...     queue_size=64,
      ...     head={"output_dim": 4},
      ...     rngs=rngs,
      ... )
      >>> method.queue.shape
      (64, 4)
    """

    trainable = target.EXCEPT_TARGET

    def __init__(
        self,
        encoder: nnx.Module,
        *,
        augmentation: augment.Recipe,
        batch_size: int,
        temperature: float = 0.2,
        queue_size: int = 65536,
        decay: float = 0.999,
        symmetric: bool = False,
        norm_groups: int = 8,
        head: nnx.Module | Mapping[str, Any] | None = None,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Builds the head, the target network, and a queue of random unit vectors.

        Args:
          encoder: maps images [b h w c] in [0, 1] to features [b d]; the number of
            groups of its BatchNorm layers is changed.
          augmentation: recipe of two views of one size.
          batch_size: images in a global batch. ``queue_size`` must be a multiple of it,
            of twice this number if ``symmetric``.
          temperature: of the loss, > 0, dimensionless.
          queue_size: K, the number of keys in the queue.
          decay: EMA decay of the target, in [0, 1].
          symmetric: use each view as query and as key, and queue the keys of both; the
            loss is the mean of both directions.
          norm_groups: number of groups of the batch for BatchNorm statistics, a divisor
            of ``batch_size``; 1 uses the whole batch, without shuffling.
          head: maps h to z, or options of ``nn.ProjectionHead`` that override ``HEAD``.
          dtype: of the head's activations.
          rngs: source of the initial weights and of the queue.

        Raises:
          UserError: if ``queue_size`` is not a multiple of the keys per step,
            ``norm_groups`` does not divide ``batch_size``, or another option is wrong.
        """
        checks.check_positive("temperature", temperature)
        checks.check_in_range("decay", decay, low=0.0, high=1.0)
        per_step = batch_size * (2 if symmetric else 1)
        _check_queue(queue_size, per_step)
        checks.check_positive_int("norm_groups", norm_groups)
        checks.check_divisible(
            "batch_size",
            batch_size,
            by=norm_groups,
            remedy="The batch is split into norm_groups groups for BatchNorm.",
        )
        self.encoder = encoder
        self.head = nn.build_head(head, encoder, default=HEAD, dtype=dtype, rngs=rngs)
        for module in (self.encoder, self.head):
            normalization.set_batch_norm_groups(module, norm_groups)
        self.target = target.copy_of(encoder, self.head)
        shape = (queue_size, self.head.output_dim)
        rows = jax.random.normal(rngs.params(), shape, jnp.float32)
        self.queue = Queue(numerics.l2_normalize(rows))
        self.augmentation = augmentation
        self.temperature = temperature
        self.decay = decay
        self.symmetric = symmetric
        self.norm_groups = norm_groups

    def forward(self, batch, keys):
        """Embeds one view of each image as the query and the other as the key.

        Returns ``h`` [b d] of the first view, ``query`` and ``key``, both [b s d'] with
        s = 2 if symmetric, else 1. ``key[i, j]`` is the positive of ``query[i, j]``.
        """
        views = augment.two_views(keys, batch["image"], self.augmentation)
        sides = (0, 1) if self.symmetric else (0,)
        h = [
            encoders.apply(
                self.encoder, views[side], keys=base.encoder_keys(keys, view=side)
            )
            for side in sides
        ]
        queries = [self.head(features) for features in h]
        wanted = [self._embed_keys(views[1 - side], keys, side=side) for side in sides]
        return {
            "h": h[0],
            "query": jnp.stack(queries, axis=1),
            "key": jax.lax.stop_gradient(jnp.stack(wanted, axis=1)),
        }

    def _embed_keys(self, images: jax.Array, keys: jax.Array, *, side: int):
        """Returns the target's normalized embeddings, computed in shuffled order."""
        drawn = base.encoder_keys(keys, view=1 - side)
        if self.norm_groups == 1:
            return numerics.l2_normalize(self.target(images, keys=drawn))
        order_key = jax.random.fold_in(keys[0], _SHUFFLE + side)
        images, drawn = shuffle.shuffle_rows(order_key, (images, drawn))
        found = shuffle.unshuffle_rows(order_key, self.target(images, keys=drawn))
        return numerics.l2_normalize(found)

    def loss(self, outputs, batch, *, step, execution):
        """Computes InfoNCE against the queue in nats, the mean over directions."""
        del batch, step
        found = [
            losses.info_nce_with_metrics(
                outputs["query"][:, side],
                outputs["key"][:, side],
                self.queue[...],
                temperature=self.temperature,
                mesh=execution.mesh,
                algorithm=execution.loss_algorithm,
            )
            for side in range(outputs["query"].shape[1])
        ]
        return jax.tree.map(lambda *values: sum(values) / len(values), *found)

    def after_update(self, outputs, *, step):
        """Updates the target, then overwrites the oldest keys with the new ones."""
        self.target.follow(self.encoder, self.head, decay=self.decay)
        new = jnp.swapaxes(outputs["key"], 0, 1).reshape(-1, self.queue.shape[1])
        start = (step * new.shape[0]) % self.queue.shape[0]
        self.queue[...] = jax.lax.dynamic_update_slice(
            self.queue[...], new, (start, jnp.zeros_like(start))
        )

    def after_load(self, loaded):
        """Copies the loaded weights to the target, unless it was loaded as well."""
        target.restart(self, loaded)


def _check_queue(queue_size: int, per_step: int) -> None:
    checks.check_positive_int("queue_size", queue_size)
    if queue_size % per_step:
        lower = queue_size // per_step * per_step
        near = " or ".join(str(size) for size in (lower, lower + per_step) if size)
        raise errors.UserError(
            f"queue_size must be a multiple of the {per_step} keys of a step; got "
            f"{queue_size}. Use {near}."
        )
