"""Expected range of the NT-Xent loss: its value at chance and its practical minimum."""

import math

from simclr_jax.core import checks, errors


def chance_loss(batch_size: int) -> float:
    """Returns the NT-Xent loss of embeddings that carry no information.

    If all similarities are equal, the positive is one of ``2b - 1`` equally likely
    candidates. A run that stays at this value has learned nothing; a collapsed encoder
    has exactly this loss.

    Args:
      batch_size: images in the (global) batch, b >= 2.

    Returns:
      ``ln(2b - 1)``, in nats.

    Raises:
      UserError: if ``batch_size`` is not an integer of at least two.

    Example:
      >>> from simclr_jax import losses
      >>> round(losses.chance_loss(256), 3)
      6.236
    """
    _check_batch_size(batch_size)
    return math.log(2 * batch_size - 1)


def floor_loss(batch_size: int, *, temperature: float) -> float:
    """Returns the NT-Xent loss of identical positives among orthogonal negatives.

    This is not a strict minimum, since negatives can be more than 90 degrees apart, but
    with embeddings of common width the loss of a run stays above it.

    Args:
      batch_size: images in the (global) batch, b >= 2.
      temperature: tau > 0, dimensionless.

    Returns:
      ``ln(1 + (2b - 2) exp(-1 / tau))``, in nats.

    Raises:
      UserError: if ``batch_size`` is below two or ``temperature`` is not positive.

    Example:
      >>> from simclr_jax import losses
      >>> round(losses.floor_loss(256, temperature=0.1), 3)
      0.023
    """
    _check_batch_size(batch_size)
    checks.check_positive("temperature", temperature)
    return math.log1p((2 * batch_size - 2) * math.exp(-1 / temperature))


def _check_batch_size(batch_size: int) -> None:
    checks.check_positive_int("batch_size", batch_size)
    if batch_size < 2:
        raise errors.UserError(
            "batch_size must be at least 2, or there are no negatives; got 1."
        )
