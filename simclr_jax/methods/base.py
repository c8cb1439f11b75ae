"""The ``Method`` interface, the registry of methods, and helpers for their authors.

A training step calls a method three times:

1. ``forward`` embeds each sample on its own, so it can run on micro-batches;
2. ``loss`` compares the embeddings of the whole batch;
3. ``after_update`` runs after the optimizer has changed the parameters.

A new method is one file (see ``examples/own_method.py``):

1. subclass ``Method``; the constructor takes the encoder first, then keyword-only
   options;
2. list the batch fields that it reads in ``inputs``;
3. register it with ``@METHODS.register("name")``.

Training, gradient accumulation, multiple devices and processes, checkpoints, resuming
and evaluation then work without further code.
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
"""Result of ``Method.forward``: arrays with a leading axis b, by name."""

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
"""All methods by name: classes whose constructor takes the encoder, then keywords.

The library passes those of the following arguments that a constructor declares:
``augmentation`` (a recipe), ``batch_size`` (images in a global batch), ``dtype`` (of
activations), ``num_classes`` (None for data without labels), ``num_images``,
``num_steps`` (updates in the run), ``rngs`` and ``steps_per_epoch``. All other
keyword-only arguments are options of ``config.method``.
"""


class Method(nnx.Module, abc.ABC):
    """Abstract base class of methods: an encoder, and the loss that trains it.

    Subclasses implement ``forward`` and ``loss``, and ``after_update`` if they keep
    state that has no gradient, such as a target network or a queue. All randomness must
    come from the keys passed to ``forward``. Variables other than ``nnx.BatchStat`` and
    ``nnx.RngState`` may be written only in ``after_update``.

    Attributes:
      inputs: names of the batch fields that the method reads; only these are loaded.
      trainable: filter of the variables that the optimizer updates.
      encoder: maps images [b h w c] in [0, 1] to h [b d]; restored by
        ``simclr_jax.load``.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from simclr_jax import augment, methods
      >>> class SameViews(methods.Method):
      ...     def __init__(self, encoder, *, augmentation, rngs):
      ...         self.encoder, self.augmentation = encoder, augmentation
      ...     def forward(self, batch, keys):
      ...         a, b = augment.two_views(keys, batch["image"], self.augmentation)
      ...         return {"h": self.encoder(a), "other": self.encoder(b)}
      ...     def loss(self, outputs, batch, *, step, execution):
      ...         return jnp.mean((outputs["h"] - outputs["other"]) ** 2), {}
      >>> encoder = lambda images: images.mean(axis=(1, 2))
      >>> method = SameViews(encoder, augmentation=None, rngs=nnx.Rngs(0))
      >>> method.embed(jnp.zeros((5, 8, 8, 3))).shape
      (5, 3)
    """

    inputs: ClassVar[tuple[str, ...]] = ("image",)
    trainable: Any = nnx.Param
    encoder: Any

    @abc.abstractmethod
    def forward(self, batch: types.Batch, keys: jax.Array) -> Outputs:
        """Embeds each sample of a (micro-)batch, in training mode and under ``jit``.

        Args:
          batch: the fields listed in ``inputs``, with a leading axis b. ``image`` is
            uint8 in [0, 255] or float32 in [0, 1], shape [b h w c], or a
            ``types.PaddedImages``.
          keys: one PRNG key per image, shape [b].

        Returns:
          Arrays with a leading axis b, in the order of the batch. Must include ``"h"``,
          the output of the encoder for one view of each image, [b d].
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
        """Computes the loss of the whole batch, whatever its layout over devices.

        Args:
          outputs: the result of ``forward`` for the whole batch.
          batch: the whole batch.
          step: number of updates made so far, an int32 scalar.
          execution: the mesh and the algorithm that exchanges embeddings between
            devices.

        Returns:
          The loss, a float32 scalar, and metrics to log, float32 scalars by name.
        """

    def after_update(self, outputs: Outputs, *, step: jax.Array) -> None:
        """Updates state without gradient: target networks, queues, prototypes.

        Args:
          outputs: the result of ``forward`` for the whole batch, computed with the
            parameters before the update.
          step: number of updates made before this one, an int32 scalar.
        """

    def after_load(self, loaded: frozenset[str]) -> None:
        """Synchronizes copies, such as a target network, after weights were loaded.

        Args:
          loaded: paths of the arrays that were loaded from a checkpoint, such as
            ``"encoder/stem/conv/kernel"``.
        """

    def embed(self, images: types.Images) -> types.Embedding:
        """Returns the encoder's output h [b d] for ``images`` [b h w c] in [0, 1]."""
        return self.encoder(images)


def embed_together(
    encoder: Any, views: Sequence[jax.Array], keys: jax.Array
) -> jax.Array:
    """Embeds all views of each image in a single pass of the encoder.

    BatchNorm therefore takes its statistics over all views. The views of an image are
    adjacent rows, so sharding the rows over devices keeps them on one device.

    Args:
      encoder: maps images [b h w c] to features [b d].
      views: one array per view, all of one shape [b h w c].
      keys: one PRNG key per image, shape [b].

    Returns:
      Features, [b v d].

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> from simclr_jax import methods
      >>> encoder = lambda images: images.mean(axis=(1, 2))
      >>> views = [jnp.zeros((3, 8, 8, 2)), jnp.ones((3, 8, 8, 2))]
      >>> keys = jax.random.split(jax.random.key(0), 3)
      >>> methods.embed_together(encoder, views, keys).shape
      (3, 2, 2)
    """
    count = len(views)
    rows = jnp.stack(views, axis=1).reshape(-1, *views[0].shape[1:])
    row_keys = jnp.stack([encoder_keys(keys, view=v) for v in range(count)], axis=1)
    h = encoders.apply(encoder, rows, keys=row_keys.reshape(-1))
    return h.reshape(-1, count, h.shape[-1])


def encoder_keys(keys: jax.Array, *, view: int) -> jax.Array:
    """Derives the keys for random operations of an encoder, such as dropout.

    Args:
      keys: one PRNG key per image, shape [b].
      view: index of the view.

    Returns:
      Keys of shape [b], independent of the keys of the augmentations.

    Example:
      >>> import jax
      >>> from simclr_jax import methods
      >>> keys = jax.random.split(jax.random.key(0), 3)
      >>> methods.encoder_keys(keys, view=1).shape
      (3,)
    """
    return jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, _ENCODER + view)


_ENCODER = 1_000_000  # larger than any view index, so that keys never coincide


def distinct_labels(labels: jax.Array) -> jax.Array:
    """Gives every image without a label (-1) a distinct class of its own.

    Args:
      labels: int32 [b], -1 for images without a label.

    Returns:
      Int32 [b]; missing labels are replaced by distinct negative numbers.
    """
    own = -1 - jnp.arange(labels.shape[0], dtype=labels.dtype)
    return jnp.where(labels < 0, own, labels)


def feature_std(x: types.Embedding) -> types.Scalar:
    """Computes the standard deviation of normalized rows, times sqrt(d).

    A measure of collapse: near 1 if directions are spread evenly over the sphere, 0 if
    all rows are equal (Chen & He 2020, https://arxiv.org/abs/2011.10566, section 4.1).

    Args:
      x: rows [b d] of any float type.

    Returns:
      A float32 scalar.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import methods
      >>> print(methods.feature_std(jnp.ones((5, 3))))
      0.0
    """
    normalized = numerics.l2_normalize(x)
    return jnp.sqrt(jnp.mean(jnp.var(normalized, axis=0)) * x.shape[1])
