"""The two values between which the NT-Xent of a healthy run moves."""

import math

from simclr_jax.core import checks, errors


def chance_loss(batch_size: int) -> float:
    """The NT-Xent of embeddings that say nothing about the image.

    With equal similarities the positive is one of ``2b - 1`` equal candidates. A run
    that stays at this value has learned nothing; a collapsed encoder is exactly there.

    Args:
      batch_size: images in the (global) batch, b >= 2.

    Returns:
      ``ln(2b - 1)``, in nats.

    Raises:
      UserError: if ``batch_size`` is not a whole number of at least two.
    """
    _check_batch_size(batch_size)
    return math.log(2 * batch_size - 1)


def floor_loss(batch_size: int, *, temperature: float) -> float:
    """The NT-Xent of positives at cosine 1 among orthogonal negatives.

    It is no strict minimum (negatives can lie beyond 90 degrees), but with embeddings
    of usual width a run does not come below it.

    Args:
      batch_size: images in the (global) batch, b >= 2.
      temperature: tau > 0, dimensionless.

    Returns:
      ``ln(1 + (2b - 2) exp(-1 / tau))``, in nats.

    Raises:
      UserError: if ``batch_size`` is below two or ``temperature`` is not positive.
    """
    _check_batch_size(batch_size)
    checks.check_positive("temperature", temperature)
    return math.log1p((2 * batch_size - 2) * math.exp(-1 / temperature))


def _check_batch_size(batch_size: int) -> None:
    checks.check_positive_int("batch_size", batch_size)
    if batch_size < 2:
        raise errors.UserError(
            "batch_size must be at least 2, or there is no negative; got 1."
        )
