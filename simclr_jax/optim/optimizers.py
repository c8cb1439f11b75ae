"""Optimizers by name: LARS, SGD, Adam and AdamW.

Each builder makes the transformation of one group of parameters (``rules.Group``);
``build`` partitions the parameters by their groups.
"""

from typing import Any

import jax
import optax

from simclr_jax.core import errors, registry
from simclr_jax.optim import rules as rules_lib

OPTIMIZERS = registry.Registry("optimizer", supplied=("group",))
"""Every optimizer: ``builder(learning_rate, *, group, **options)``."""

_DEFAULT_GROUP = rules_lib.Group()


@OPTIMIZERS.register("lars")
def lars(
    learning_rate: optax.ScalarOrSchedule,
    *,
    group: rules_lib.Group = _DEFAULT_GROUP,
    weight_decay: float = 1e-6,
    momentum: float = 0.9,
    trust_coefficient: float = 0.001,
) -> optax.GradientTransformation:
    """Builds LARS as in the original SimCLR code.

    For a kernel w with gradient g: ``g += weight_decay * w``; its step is
    ``trust_coefficient * |w| / |g|`` times the learning rate; the momentum buffer holds
    steps, learning rate included. By default biases and norms get neither.

    You et al. 2017, https://arxiv.org/abs/1708.03888; Chen et al. 2020, appendix B.6.

    Args:
      learning_rate: a number or a schedule of the step.
      group: how its parameters are treated.
      weight_decay: coefficient of the L2 term.
      momentum: decay of the buffer.
      trust_coefficient: the eeta of the original.

    Returns:
      The transformation.
    """
    return optax.lars(
        learning_rate,
        weight_decay=weight_decay * group.decay,
        weight_decay_mask=group.decay > 0,
        trust_coefficient=trust_coefficient,
        trust_ratio_mask=group.trust,
        momentum=momentum,
    )


@OPTIMIZERS.register("sgd")
def sgd(
    learning_rate: optax.ScalarOrSchedule,
    *,
    group: rules_lib.Group = _DEFAULT_GROUP,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    nesterov: bool = True,
) -> optax.GradientTransformation:
    """Builds gradient descent with momentum; the L2 term is part of the gradient.

    PyTorch decays every parameter by default: the rule ``(".*", {"decay": 1})``.

    Args:
      learning_rate: a number or a schedule of the step.
      group: how its parameters are treated.
      weight_decay: coefficient of the L2 term.
      momentum: decay of the buffer.
      nesterov: whether to use Nesterov momentum.

    Returns:
      The transformation.
    """
    decayed = optax.add_decayed_weights(weight_decay * group.decay)
    plain = optax.sgd(learning_rate, momentum=momentum, nesterov=nesterov)
    return optax.chain(decayed, plain) if group.decay else plain


@OPTIMIZERS.register("adam")
def adam(
    learning_rate: optax.ScalarOrSchedule,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
) -> optax.GradientTransformation:
    """Builds Adam without weight decay. Kingma & Ba 2014, arxiv.org/abs/1412.6980.

    Args:
      learning_rate: a number or a schedule of the step.
      b1: decay of the mean of the gradients.
      b2: decay of the mean of their squares.

    Returns:
      The transformation.
    """
    return optax.adam(learning_rate, b1=b1, b2=b2)


@OPTIMIZERS.register("adamw")
def adamw(
    learning_rate: optax.ScalarOrSchedule,
    *,
    group: rules_lib.Group = _DEFAULT_GROUP,
    weight_decay: float = 1e-4,
    b1: float = 0.9,
    b2: float = 0.999,
) -> optax.GradientTransformation:
    """Builds Adam with decoupled weight decay. https://arxiv.org/abs/1711.05101.

    Args:
      learning_rate: a number or a schedule of the step.
      group: how its parameters are treated.
      weight_decay: share of a kernel taken off per step, times the learning rate.
      b1: decay of the mean of the gradients.
      b2: decay of the mean of their squares.

    Returns:
      The transformation.
    """
    return optax.adamw(
        learning_rate, b1=b1, b2=b2, weight_decay=weight_decay * group.decay
    )


def build(
    name: str,
    learning_rate: optax.ScalarOrSchedule,
    *,
    params: Any,
    rules: rules_lib.Rules = (),
    peak: float | None = None,
    **options: Any,
) -> optax.GradientTransformation:
    """Builds an optimizer by name, partitioned by the groups of the parameters.

    Args:
      name: a key of ``OPTIMIZERS``.
      learning_rate: a number or a schedule of the step.
      params: the parameters, a tree of arrays or shapes in dicts; only their paths and
        ranks are read.
      rules: which parameters are treated in another way, see ``rules``.
      peak: the learning rate of groups with a constant one, where ``learning_rate`` is
        a schedule.
      **options: what the builder of that name takes.

    Returns:
      The transformation.

    Raises:
      UserError: if the name, an option or a rule is wrong; lists the choices.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import optim
      >>> params = {"kernel": jnp.ones((2, 2)), "bias": jnp.zeros(2)}
      >>> lars = optim.build("lars", 0.3, params=params, weight_decay=1e-4)
      >>> updates, _ = lars.update(params, lars.init(params), params)
      >>> updates["bias"]
      Array([0., 0.], dtype=float32)
    """
    groups = rules_lib.resolve(params, rules=rules)
    by_label = {group.label: group for group in jax.tree.leaves(groups)}
    transformations = {
        label: _hold(
            OPTIMIZERS.build(
                name, options, _rate(learning_rate, peak, group), group=group
            ),
            group.frozen_steps,
        )
        for label, group in sorted(by_label.items())
    }
    labels = jax.tree.map(lambda group: group.label, groups)
    return optax.partition(transformations, labels)


def _rate(
    learning_rate: optax.ScalarOrSchedule, peak: float | None, group: rules_lib.Group
) -> optax.ScalarOrSchedule:
    """Returns the learning rate of a group."""
    if group.constant_rate and callable(learning_rate):
        if peak is None:
            raise errors.UserError(
                "A rule with constant_rate needs the peak of the schedule; pass peak."
            )
        learning_rate = peak
    if group.rate == 1:
        return learning_rate
    if callable(learning_rate):
        schedule = learning_rate
        return lambda step: group.rate * schedule(step)
    return group.rate * learning_rate


def _hold(
    transformation: optax.GradientTransformation, num_steps: int
) -> optax.GradientTransformation:
    """Returns the transformation, disabled for the first ``num_steps`` updates."""
    if not num_steps:
        return transformation
    is_due: Any = lambda step: step >= num_steps
    held = optax.conditionally_mask(transformation, is_due)
    return optax.GradientTransformation(held.init, held.update)
