"""Target networks: a moving average of encoder and head that no gradient moves."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from simclr_jax import encoders
from simclr_jax.core import types

EXCEPT_TARGET = nnx.All(nnx.Param, nnx.Not(nnx.PathContains("target")))
"""Filter of the parameters of a method but those of its attribute ``target``."""


class Target(nnx.Module):
    """A copy of encoder and head; calling it embeds images [b h w c] to z [b d]."""

    def __init__(self, encoder: Any, head: Any):
        """Keeps the parts, which must be copies already; see ``copy_of``."""
        self.encoder = encoder
        self.head = head

    def __call__(
        self, images: types.Images, *, keys: jax.Array | None = None
    ) -> types.Embedding:
        """Returns z [b d] of images [b h w c] in [0, 1]; keys [b] or None."""
        return self.head(encoders.apply(self.encoder, images, keys=keys))

    def follow(self, encoder: Any, head: Any, *, decay: jax.Array | float) -> None:
        """Moves every parameter: ``decay * own + (1 - decay) * online``, in float32.

        Running statistics stay as the target's own forward passes leave them.

        Args:
          encoder: the online encoder.
          head: the online head.
          decay: share that is kept, in [0, 1].
        """
        for own, online in ((self.encoder, encoder), (self.head, head)):
            kept, new = nnx.state(own, nnx.Param), nnx.state(online, nnx.Param)
            move = lambda old, value: old + (1 - decay) * (value - old)
            nnx.update(own, jax.tree.map(move, kept, new))


def copy_of(encoder: Any, head: Any) -> Target:
    """Returns a target that starts as a copy of encoder and head, arrays included.

    Args:
      encoder: images to h.
      head: h to z.

    Returns:
      The target.
    """
    return Target(nnx.clone(encoder, arrays=True), nnx.clone(head, arrays=True))


def restart(method: Any, loaded: frozenset[str]) -> None:
    """Makes ``method.target`` equal to encoder and head, unless it was loaded.

    Args:
      method: has ``encoder``, ``head`` and ``target``.
      loaded: paths of the arrays that a checkpoint provided.
    """
    if not any(path.startswith("target/") for path in loaded):
        for own, online in (
            (method.target.encoder, method.encoder),
            (method.target.head, method.head),
        ):
            nnx.update(own, jax.tree.map(jnp.array, nnx.state(online)))


def cosine_decay(initial: float, *, step: jax.Array | int, num_steps: int) -> jax.Array:
    """Returns the decay of a moving average at a step, rising to 1 by half a cosine.

    ``1 - (1 - initial) (1 + cos(pi step / num_steps)) / 2``.

    Args:
      initial: the decay at step 0, in [0, 1].
      step: updates made so far.
      num_steps: updates in the run.

    Returns:
      The decay, a float32 scalar.
    """
    share = jnp.minimum(jnp.asarray(step, jnp.float32) / num_steps, 1.0)
    return 1 - (1 - initial) * (1 + jnp.cos(jnp.pi * share)) / 2
