"""The optimizers by name: LARS as in the original, SGD, Adam and AdamW."""

import inspect
from collections.abc import Callable
from typing import Any

import optax

from simclr_jax.core import errors, registry
from simclr_jax.optim import masks


def lars(
    learning_rate: optax.ScalarOrSchedule,
    *,
    params: Any,
    weight_decay: float = 1e-6,
    momentum: float = 0.9,
    trust_coefficient: float = 0.001,
) -> optax.GradientTransformation:
    """LARS as the original SimCLR code has it.

    For a kernel w with gradient g: ``g += weight_decay * w``; its step is
    ``trust_coefficient * |w| / |g|`` times the learning rate; the momentum buffer holds
    steps, learning rate included. BatchNorms and biases get neither.

    You et al. 2017, https://arxiv.org/abs/1708.03888; Chen et al. 2020, appendix B.6.

    Args:
      learning_rate: a number or a schedule of the step.
      params: the parameters, for the masks; only their paths are read.
      weight_decay: coefficient of the L2 term.
      momentum: decay of the buffer.
      trust_coefficient: the eeta of the original.

    Returns:
      The transformation.
    """
    return optax.lars(
        learning_rate,
        weight_decay=weight_decay,
        weight_decay_mask=masks.mask_by_path(params, masks.DECAYED),
        trust_coefficient=trust_coefficient,
        trust_ratio_mask=masks.mask_by_path(params, masks.ADAPTED),
        momentum=momentum,
    )


def sgd(
    learning_rate: optax.ScalarOrSchedule,
    *,
    params: Any,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    nesterov: bool = True,
    decay_all: bool = False,
) -> optax.GradientTransformation:
    """Stochastic gradient descent with momentum; the L2 term is part of the gradient.

    Args:
      learning_rate: a number or a schedule of the step.
      params: the parameters, for the mask; only their paths are read.
      weight_decay: coefficient of the L2 term.
      momentum: decay of the buffer.
      nesterov: whether to look ahead, as Nesterov's form does.
      decay_all: decay BatchNorms and biases too, as PyTorch does by default.

    Returns:
      The transformation.
    """
    rules = ((".*", True),) if decay_all else masks.DECAYED
    return optax.chain(
        optax.add_decayed_weights(weight_decay, masks.mask_by_path(params, rules)),
        optax.sgd(learning_rate, momentum=momentum, nesterov=nesterov),
    )


def adam(
    learning_rate: optax.ScalarOrSchedule,
    *,
    params: Any,
    b1: float = 0.9,
    b2: float = 0.999,
) -> optax.GradientTransformation:
    """Adam without weight decay. Kingma & Ba 2014, https://arxiv.org/abs/1412.6980.

    Args:
      learning_rate: a number or a schedule of the step.
      params: not read; every optimizer here takes it.
      b1: decay of the mean of the gradients.
      b2: decay of the mean of their squares.

    Returns:
      The transformation.
    """
    del params
    return optax.adam(learning_rate, b1=b1, b2=b2)


def adamw(
    learning_rate: optax.ScalarOrSchedule,
    *,
    params: Any,
    weight_decay: float = 1e-4,
    b1: float = 0.9,
    b2: float = 0.999,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay on kernels. https://arxiv.org/abs/1711.05101.

    Args:
      learning_rate: a number or a schedule of the step.
      params: the parameters, for the mask; only their paths are read.
      weight_decay: share of a kernel taken off per step, times the learning rate.
      b1: decay of the mean of the gradients.
      b2: decay of the mean of their squares.

    Returns:
      The transformation.
    """
    mask = masks.mask_by_path(params, masks.DECAYED)
    return optax.adamw(
        learning_rate, b1=b1, b2=b2, weight_decay=weight_decay, mask=mask
    )


OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "adam": adam,
    "adamw": adamw,
    "lars": lars,
    "sgd": sgd,
}


def build(
    name: str, learning_rate: optax.ScalarOrSchedule, *, params: Any, **options
) -> optax.GradientTransformation:
    """Builds an optimizer by name.

    Args:
      name: ``"lars"``, ``"sgd"``, ``"adam"`` or ``"adamw"``.
      learning_rate: a number or a schedule of the step.
      params: the parameters, a tree of arrays; only their paths are read.
      **options: what the function of that name takes.

    Returns:
      The transformation.

    Raises:
      UserError: if the name or an option is unknown; lists the choices.
    """
    optimizer = registry.lookup("optimizer", name, OPTIMIZERS)
    choices = set(inspect.signature(optimizer).parameters) - {"learning_rate", "params"}
    for option in options:
        if option not in choices:
            kind = f"option of optimizer {name!r}:"
            raise errors.UserError(registry.unknown_name(kind, option, choices))
    return optimizer(learning_rate, params=params, **options)
