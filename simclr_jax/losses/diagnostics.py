"""Metrics of the contrastive losses, computed from the tiles of the loss."""

import jax
import jax.numpy as jnp

from simclr_jax.core import types
from simclr_jax.losses import similarity

_TIE = 4e-6
"""Cosines closer than this count as equal: rounding depends on the summation order."""


def of_rows(
    positive: jax.Array,
    squared_distance: jax.Array,
    found: similarity.Found,
    *,
    temperature: jax.Array,
) -> dict[str, jax.Array]:
    """Computes per-row terms of ``metrics``, for rows with one positive each.

    Args:
      positive: the logit of each row's positive, [1 n].
      squared_distance: distance^2 from each scaled row to its positive, [1 n].
      found: the reductions over the negatives, with neighbors, [g n].
      temperature: tau, a float32 scalar.

    Returns:
      Float32 [g n] by name, without gradient.
    """
    positive, squared_distance, logsumexp, neighbors, temperature = (
        jax.lax.stop_gradient(
            (
                positive,
                squared_distance,
                found.logsumexp,
                found.neighbors,
                temperature,
            )
        )
    )
    is_nearest = positive - neighbors.largest > _TIE / temperature
    margin = positive - logsumexp  # log odds of the positive
    # Chain rule of entropy: H(positive or not) + P(not) H(which negative).
    entropy = jax.nn.sigmoid(margin) * jax.nn.softplus(-margin) + jax.nn.sigmoid(
        -margin
    ) * (jax.nn.softplus(margin) + neighbors.entropy)
    alignment = squared_distance * temperature
    return {
        "contrastive_accuracy": is_nearest.astype(jnp.float32),
        "entropy": entropy,
        "alignment": jnp.broadcast_to(alignment, entropy.shape),
        "nearness": neighbors.nearness,
    }


def loss_and_means(
    of_rows: dict[str, jax.Array],
) -> tuple[types.Scalar, dict[str, jax.Array]]:
    """Returns the mean of ``loss`` [g n] and the means of all other entries by name."""
    # One stacked mean, so that the devices run a single collective.
    means = jnp.mean(jnp.stack([*of_rows.values()]), axis=(1, 2))
    of_batch = dict(zip(of_rows, means, strict=True))
    return of_batch.pop("loss"), of_batch


def metrics(
    means: dict[str, jax.Array], num_negatives: int, *, temperature: jax.Array
) -> types.Metrics:
    """Computes the metrics from the means over all rows.

    Args:
      means: means of the entries of ``of_rows``, float32 scalars.
      num_negatives: negatives of each row, in the global batch.
      temperature: tau, a float32 scalar.

    Returns:
      Float32 scalars by name.
    """
    temperature = jax.lax.stop_gradient(temperature)
    return {
        "contrastive_accuracy": means["contrastive_accuracy"],
        "entropy": means["entropy"],
        "alignment": means["alignment"],
        "uniformity": jnp.log(means["nearness"] / num_negatives),
        "chance_loss": jnp.log(jnp.float32(num_negatives + 1)),
        "floor_loss": jnp.log1p(num_negatives * jnp.exp(-1 / temperature)),
    }


def of_anchors(
    found: similarity.Found, *, temperature: jax.Array
) -> dict[str, jax.Array]:
    """Computes per-row terms of ``anchor_metrics``, for any number of positives.

    Args:
      found: the reductions over all other rows, with positives and neighbors, [g n].
      temperature: tau, a float32 scalar.

    Returns:
      Float32 [g n] by name, without gradient. ``is_anchor`` is 1 for rows with
      positives and 0 elsewhere; ``contrastive_accuracy``, ``alignment`` and
      ``floor_loss`` are 0 where ``is_anchor`` is.
    """
    found, temperature = jax.lax.stop_gradient((found, temperature))
    total, count, largest = found.positives
    num_others = count.size - 1
    is_anchor = (count > 0).astype(jnp.float32)
    is_nearest = largest - found.neighbors.largest > _TIE / temperature
    squared_distance = 2 - 2 * temperature * total / jnp.maximum(count, 1)
    floor = jnp.log(
        jnp.maximum(count, 1) + (num_others - count) * jnp.exp(-1 / temperature)
    )
    return {
        "is_anchor": is_anchor,
        "contrastive_accuracy": is_nearest.astype(jnp.float32) * is_anchor,
        "alignment": jnp.maximum(squared_distance, 0) * is_anchor,
        "floor_loss": floor * is_anchor,
        "entropy": found.neighbors.entropy,
        "nearness": found.neighbors.nearness,
        "num_negatives": num_others - count,
    }


def anchor_metrics(sums: dict[str, jax.Array], num_rows: int) -> types.Metrics:
    """Computes the metrics of ``supcon_with_metrics`` from the sums over all rows.

    Args:
      sums: sums of the entries of ``of_anchors``, float32 scalars.
      num_rows: n, the rows of the global batch.

    Returns:
      Float32 scalars by name.
    """
    num_anchors = jnp.maximum(sums["is_anchor"], 1)
    has_negatives = sums["num_negatives"] > 0
    nearness = sums["nearness"] / jnp.maximum(sums["num_negatives"], 1)
    return {
        "contrastive_accuracy": sums["contrastive_accuracy"] / num_anchors,
        "entropy": sums["entropy"] / num_rows,
        "alignment": sums["alignment"] / num_anchors,
        "uniformity": jnp.log(jnp.where(has_negatives, nearness, 1.0)),
        "anchors_without_positives": (num_rows - sums["is_anchor"]) / num_rows,
        "chance_loss": jnp.log(jnp.float32(num_rows - 1)),
        "floor_loss": sums["floor_loss"] / num_anchors,
    }
