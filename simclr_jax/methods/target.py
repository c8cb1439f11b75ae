"""Target networks: exponential moving averages (EMA) of encoder and head."""

from typing import Any, final

import jax
import jax.numpy as jnp
from flax import nnx

from simclr_jax import encoders
from simclr_jax.core import types

EXCEPT_TARGET = nnx.All(nnx.Param, nnx.Not(nnx.PathContains("target")))
"""Filter for all parameters of a method except those of its attribute ``target``."""


@final
class Target(nnx.Module):
    """Copy of ``encoder`` and ``head`` that maps images [b h w c] to z [b d].

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import methods
      >>> target = methods.Target(lambda images: images.mean((1, 2)), lambda h: 2 * h)
      >>> target(jnp.ones((5, 8, 8, 3))).shape
      (5, 3)
    """

    def __init__(self, encoder: Any, head: Any):
        """Stores encoder and head, which must already be copies; see ``copy_of``."""
        self.encoder = encoder
        self.head = head

    def __call__(
        self, images: types.Images, *, keys: jax.Array | None = None
    ) -> types.Embedding:
        """Embeds images [b h w c] in [0, 1] as z [b d]; ``keys`` is [b] or None."""
        return self.head(encoders.apply(self.encoder, images, keys=keys))

    def follow(self, encoder: Any, head: Any, *, decay: jax.Array | float) -> None:
        """Sets every parameter to ``decay * own + (1 - decay) * online``, in float32.

        Running statistics are not changed: the target's forward passes update them.

        Args:
          encoder: the online encoder.
          head: the online head.
          decay: weight of the target's own parameters, in [0, 1].
        """
        for own, online in ((self.encoder, encoder), (self.head, head)):
            kept, new = nnx.state(own, nnx.Param), nnx.state(online, nnx.Param)
            move = lambda old, value: old + (1 - decay) * (value - old)
            nnx.update(own, jax.tree.map(move, kept, new))


def copy_of(encoder: Any, head: Any) -> Target:
    """Returns a target network with copies of encoder and head.

    Arrays are copied as well: shared buffers would prevent their donation.

    Args:
      encoder: maps images to h.
      head: maps h to z.

    Returns:
      The target network.

    Example:
      >>> from flax import nnx
      >>> from simclr_jax import methods
      >>> layer = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
      >>> target = methods.copy_of(layer, layer)
      >>> target.encoder is layer
      False
    """
    return Target(nnx.clone(encoder, arrays=True), nnx.clone(head, arrays=True))


def restart(method: Any, loaded: frozenset[str]) -> None:
    """Copies encoder and head to ``method.target``, unless that was loaded.

    Args:
      method: a method with ``encoder``, ``head`` and ``target``.
      loaded: paths of the arrays that were loaded from a checkpoint.
    """
    if not any(path.startswith("target/") for path in loaded):
        for own, online in (
            (method.target.encoder, method.encoder),
            (method.target.head, method.head),
        ):
            nnx.update(own, jax.tree.map(jnp.array, nnx.state(online)))


def cosine_decay(initial: float, *, step: jax.Array | int, num_steps: int) -> jax.Array:
    """Computes the decay of a moving average that rises to 1 along half a cosine.

    ``1 - (1 - initial) (1 + cos(pi step / num_steps)) / 2`` (BYOL, appendix B).

    Args:
      initial: the decay at step 0, in [0, 1].
      step: number of updates made so far.
      num_steps: number of updates in the run.

    Returns:
      The decay, a float32 scalar.

    Example:
      >>> from simclr_jax import methods
      >>> print(f"{methods.cosine_decay(0.9, step=50, num_steps=100):.2f}")
      0.95
    """
    share = jnp.minimum(jnp.asarray(step, jnp.float32) / num_steps, 1.0)
    return 1 - (1 - initial) * (1 + jnp.cos(jnp.pi * share)) / 2
