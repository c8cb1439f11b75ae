"""Length of a run, learning-rate schedule and optimizer of a config."""

import dataclasses
import math
from typing import Any, final

import optax

from simclr_jax import optim
from simclr_jax.assembly.config import schema


@final
@dataclasses.dataclass(frozen=True)
class Length:
    """Length of a run.

    Attributes:
      num_steps: number of updates in the run.
      steps_per_epoch: number of whole batches in an epoch.
      warmup_steps: number of updates in which the learning rate rises.
    """

    num_steps: int
    steps_per_epoch: int
    warmup_steps: int


def compute_length(config: schema.Config, *, num_images: int) -> Length:
    """Computes the number of steps of a run.

    If both are set, ``config.num_steps`` takes precedence over ``config.epochs``. The
    warm-up is at most half of the run.

    Args:
      config: the config.
      num_images: number of images in the data set.

    Returns:
      The length.

    Example:
      >>> from simclr_jax import assembly
      >>> config = assembly.load_config("mnist")
      >>> assembly.compute_length(config, num_images=60_000)
      Length(num_steps=936, steps_per_epoch=468, warmup_steps=47)
    """
    steps_per_epoch = max(num_images // config.batch_size, 1)
    num_steps = config.num_steps
    if num_steps is None:
        num_steps = max(math.ceil(config.epochs * steps_per_epoch), 1)
    warmup_steps = round(config.optimizer.warmup_epochs * steps_per_epoch)
    return Length(num_steps, steps_per_epoch, min(warmup_steps, num_steps // 2))


def build_schedule(
    config: schema.Config, length: Length
) -> tuple[optax.Schedule, float]:
    """Builds the learning-rate schedule: linear warm-up, then cosine decay to zero.

    Args:
      config: the config.
      length: length of the run.

    Returns:
      The learning rate as a function of the step, and its peak.

    Example:
      >>> from simclr_jax import assembly
      >>> config = assembly.load_config("mnist")
      >>> length = assembly.compute_length(config, num_images=60_000)
      >>> schedule, peak = assembly.build_schedule(config, length)
      >>> peak, float(schedule(length.num_steps))
      (0.006, 0.0)
    """
    peak = optim.scale_learning_rate(
        config.optimizer.learning_rate,
        batch_size=config.batch_size,
        scaling=config.optimizer.learning_rate_scaling,
    )
    schedule = optim.warmup_cosine(
        peak, num_steps=length.num_steps, warmup_steps=length.warmup_steps
    )
    return schedule, peak


def build_optimizer(
    config: schema.Config, schedule: optax.Schedule, peak: float, params: Any
) -> optax.GradientTransformation:
    """Builds the optimizer of ``config.optimizer`` for a tree of parameters.

    Args:
      config: the config.
      schedule: learning rate as a function of the step.
      peak: largest learning rate.
      params: parameters, a tree of arrays or of their shapes.

    Returns:
      The gradient transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import assembly
      >>> config = assembly.load_config("mnist")
      >>> params = {"kernel": jnp.ones((2, 2))}
      >>> optimizer = assembly.build_optimizer(config, lambda step: 0.1, 0.1, params)
      >>> state = optimizer.init(params)
    """
    return optim.build(
        config.optimizer.name,
        schedule,
        params=params,
        rules=optimizer_rules(config),
        peak=peak,
        **schema.options_of(
            config.optimizer, without=("name", *schema.SCHEDULE_FIELDS)
        ),
    )


def optimizer_rules(config: schema.Config) -> Any:
    """Returns the parameter rules of the optimizer, for ``optim.resolve``."""
    return schema.options_of(config.optimizer)["rules"]
