"""Learning-rate scaling with the batch size, and the warm-up cosine schedule."""

import math

import optax

from simclr_jax.core import checks, errors, registry

_SCALINGS = {
    "none": lambda batch_size: 1.0,
    "linear": lambda batch_size: batch_size / 256,
    "sqrt": lambda batch_size: math.sqrt(batch_size),
}


def scale_learning_rate(base: float, *, batch_size: int, scaling: str) -> float:
    """Returns the peak learning rate for a batch size.

    Chen et al. 2020, appendix B.1: linear, ``base * batch_size / 256`` (0.3 gives 4.8
    at 4,096); square root, ``base * sqrt(batch_size)`` (0.075 gives 4.8 at 4,096).

    Args:
      base: the learning rate before scaling, > 0.
      batch_size: images in a global batch.
      scaling: ``"none"``, ``"linear"`` or ``"sqrt"``.

    Returns:
      The peak learning rate.

    Raises:
      UserError: if ``base`` is not positive or the scaling is unknown.

    Example:
      >>> from simclr_jax import optim
      >>> optim.scale_learning_rate(base=0.3, batch_size=512, scaling="linear")
      0.6
    """
    checks.check_positive("learning_rate", base)
    scale = registry.lookup("learning-rate scaling", scaling, _SCALINGS)
    return base * scale(batch_size)


def warmup_cosine(
    peak: float, *, num_steps: int, warmup_steps: int = 0
) -> optax.Schedule:
    """Returns a linear warm-up from 0 to ``peak`` followed by a cosine decay to 0.

    Args:
      peak: the largest learning rate.
      num_steps: steps in the run, warm-up included.
      warmup_steps: steps of the rise, below ``num_steps``.

    Returns:
      A function of the step, counted from 0.

    Raises:
      UserError: if the warm-up is as long as the run.

    Example:
      >>> from simclr_jax import optim
      >>> rate = optim.warmup_cosine(1.0, num_steps=100, warmup_steps=10)
      >>> [float(rate(step)) for step in (0, 5, 10)]
      [0.0, 0.5, 1.0]
    """
    if not 0 <= warmup_steps < num_steps:
        raise errors.UserError(
            f"warmup_steps must be at least 0 and below num_steps = {num_steps}; "
            f"got {warmup_steps}."
        )
    if warmup_steps == 0:
        return optax.cosine_decay_schedule(peak, num_steps)
    return optax.warmup_cosine_decay_schedule(0.0, peak, warmup_steps, num_steps)
