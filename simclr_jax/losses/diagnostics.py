"""What is read beside the NT-Xent, off the tiles that the loss computes anyway."""

import jax
import jax.numpy as jnp

from simclr_jax.core import types
from simclr_jax.losses import similarity

_TIE = 4e-6
"""Cosines closer than this are equal: they come from sums in different order."""


def of_rows(
    x: jax.Array,
    logsumexp: jax.Array,
    neighbors: similarity.Neighbors,
    *,
    temperature: jax.Array,
) -> dict[str, jax.Array]:
    """Computes what ``metrics`` wants the means of.

    Args:
      x: both views, [2 b d], of length ``temperature ** -0.5``.
      logsumexp: of each row's logits of the other images, [2 b].
      neighbors: what each row sees of the other images.
      temperature: tau, a float32 scalar.

    Returns:
      Float32 [2 b] by name, constants to a gradient.
    """
    x, logsumexp, temperature = jax.lax.stop_gradient((x, logsumexp, temperature))
    positive = jnp.sum(x[0] * x[1], axis=-1)[None, :]  # [1 b]
    is_nearest = positive - neighbors.largest > _TIE / temperature
    margin = positive - logsumexp  # log odds of the positive
    # The chain rule of entropy: positive or not, and if not, which.
    entropy = jax.nn.sigmoid(margin) * jax.nn.softplus(-margin) + jax.nn.sigmoid(
        -margin
    ) * (jax.nn.softplus(margin) + neighbors.entropy)
    squared_distance = jnp.sum((x[0] - x[1]) ** 2, axis=-1) * temperature
    return {
        "contrastive_accuracy": is_nearest.astype(jnp.float32),
        "entropy": entropy,
        "alignment": jnp.broadcast_to(squared_distance[None, :], entropy.shape),
        "nearness": neighbors.nearness,
    }


def metrics(
    means: dict[str, jax.Array], num_images: int, *, temperature: jax.Array
) -> types.Metrics:
    """Turns the means over all rows into the metrics of ``ntxent_with_metrics``.

    Args:
      means: of what ``of_rows`` returns, float32 scalars.
      num_images: b, in the batch of all devices.
      temperature: tau, a float32 scalar.

    Returns:
      Float32 scalars by name.
    """
    num_negatives = 2 * num_images - 2
    temperature = jax.lax.stop_gradient(temperature)
    return {
        "contrastive_accuracy": means["contrastive_accuracy"],
        "entropy": means["entropy"],
        "alignment": means["alignment"],
        "uniformity": jnp.log(means["nearness"] / num_negatives),
        "chance_loss": jnp.log(jnp.float32(num_negatives + 1)),
        "floor_loss": jnp.log1p(num_negatives * jnp.exp(-1 / temperature)),
    }
