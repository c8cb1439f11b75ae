"""The interface of every method, and the registry of methods by name.

A method is cut where one step is cut: ``forward`` is per sample, so it can run on any
part of a batch; ``loss`` needs the embeddings of the whole batch; ``after_update`` runs
once the optimizer has changed the parameters. A new method is one file:

1. derive from ``Method``, with the encoder as its first argument and every option
   keyword-only;
2. name the fields of the batch that it reads in ``inputs``;
3. register it: ``@METHODS.register("name")``.

Training, accumulation, several processes, checkpoints, resuming and evaluation then
work with it.
"""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from simclr_jax import encoders
from simclr_jax.core import numerics, registry, sharding, types

Outputs = dict[str, jax.Array]
"""What ``forward`` returns: arrays with a leading axis b, by name."""

METHODS = registry.Registry(
    "method",
    supplied=(
        "augmentation",
        "batch_size",
        "dtype",
        "num_classes",
        "num_images",
        "num_steps",
        "rngs",
        "steps_per_epoch",
    ),
)
"""Every method: a class whose constructor takes the encoder, then keywords.

The library supplies what a constructor names of: ``augmentation`` (a recipe),
``batch_size`` (images in a global batch), ``dtype`` (of activations), ``num_classes``
(None for data without labels), ``num_images``, ``num_steps`` (updates in the run),
``rngs`` and ``steps_per_epoch``. Its other keyword-only parameters are the options in
``config.method``.
"""


class Method(nnx.Module, abc.ABC):
    """An encoder and what trains it.

    Randomness comes from the keys that ``forward`` is given, and from nowhere else.
    Variables other than ``nnx.BatchStat`` and ``nnx.RngState`` are written in
    ``after_update`` alone.

    Attributes:
      inputs: fields of the batch that the method reads; the loader ships these.
      trainable: filter of the variables that the optimizer may touch.
      encoder: images [b h w c] in [0, 1] to h [b d]; what a checkpoint gives back.
    """

    inputs: ClassVar[tuple[str, ...]] = ("image",)
    trainable: Any = nnx.Param
    encoder: Any

    @abc.abstractmethod
    def forward(self, batch: types.Batch, keys: jax.Array) -> Outputs:
        """Embeds a batch or any part of it; called in training mode, under ``jit``.

        Args:
          batch: the fields in ``inputs``, with a leading axis b. ``image`` is uint8 in
            [0, 255] or float32 in [0, 1], shape [b h w c], or a ``types.PaddedImages``.
          keys: a key for each image, shape [b].

        Returns:
          Arrays with a leading axis b, in the order of the batch; ``"h"`` among them,
          the encoder's output for one view of each image, [b d].
        """

    @abc.abstractmethod
    def loss(
        self,
        outputs: Outputs,
        batch: types.Batch,
        *,
        step: jax.Array,
        execution: sharding.Execution,
    ) -> tuple[types.Scalar, types.Metrics]:
        """Computes the loss of a whole batch; independent of its layout over devices.

        Args:
          outputs: what ``forward`` returns, of the whole batch.
          batch: the whole batch.
          step: updates made so far, an int32 scalar.
          execution: the devices, and how they exchange embeddings.

        Returns:
          The loss, a float32 scalar, and float32 scalars to log beside it.
        """

    def after_update(self, outputs: Outputs, *, step: jax.Array) -> None:
        """Moves what no gradient moves: target networks, queues, prototypes.

        Args:
          outputs: of the whole batch, by the parameters of before the update; no
            gradient flows through them.
          step: updates made before this one, an int32 scalar.
        """

    def after_load(self, loaded: frozenset[str]) -> None:
        """Makes copies equal to what they copy; called once a run starts from arrays.

        Args:
          loaded: paths of the arrays that a checkpoint provided, as in
            ``"encoder/stem/conv/kernel"``.
        """

    def embed(self, images: types.Images) -> types.Embedding:
        """Returns h [b d], the encoder's output for images [b h w c] in [0, 1]."""
        return self.encoder(images)


def embed_together(
    encoder: Any, views: Sequence[jax.Array], keys: jax.Array
) -> jax.Array:
    """Embeds all views of each image in one pass of the encoder.

    The views of an image are neighbors in the pass, so BatchNorm sees all of them, and
    splitting the batch over devices splits no image.

    Args:
      encoder: images [b h w c] to features [b d].
      views: arrays of one shape [b h w c], one for each view.
      keys: a key for each image, shape [b].

    Returns:
      Features, [b v d].
    """
    count = len(views)
    rows = jnp.stack(views, axis=1).reshape(-1, *views[0].shape[1:])
    row_keys = jnp.stack([encoder_keys(keys, view=v) for v in range(count)], axis=1)
    h = encoders.apply(encoder, rows, keys=row_keys.reshape(-1))
    return h.reshape(-1, count, h.shape[-1])


def encoder_keys(keys: jax.Array, *, view: int) -> jax.Array:
    """Returns the keys of what an encoder draws for a view, such as dropout.

    Args:
      keys: a key for each image, shape [b].
      view: number of the view.

    Returns:
      Keys of shape [b], apart from those of the views themselves.
    """
    return jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, _ENCODER + view)


_ENCODER = 1_000_000  # beyond the number of any view, whose keys are ``split``


def distinct_labels(labels: jax.Array) -> jax.Array:
    """Returns labels where every image without one (-1) has a class of its own.

    Args:
      labels: int32 [b], -1 where there is none.

    Returns:
      Int32 [b]; negative, and different from each other, where there was none.
    """
    own = -1 - jnp.arange(labels.shape[0], dtype=labels.dtype)
    return jnp.where(labels < 0, own, labels)


def feature_std(x: types.Embedding) -> types.Scalar:
    """Returns the standard deviation over the batch of normalized rows, times sqrt(d).

    Near 1 for directions spread over the sphere, 0 where all rows are the same: a
    reading of collapse (Chen & He 2020, https://arxiv.org/abs/2011.10566, section 4.1).

    Args:
      x: rows [b d] of any float type.
    """
    normalized = numerics.l2_normalize(x)
    return jnp.sqrt(jnp.mean(jnp.var(normalized, axis=0)) * x.shape[1])
