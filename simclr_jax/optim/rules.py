"""Optimizer rules by parameter path: decay, trust ratio, learning rate and freezing.

Every parameter belongs to a ``Group``, the optimizer settings for it. By default
kernels are decayed and, in LARS, scaled by the trust ratio; parameters with at most one
axis (biases and the parameters of norms, whatever their names) are neither. Rules
change the settings by path: the first rule that matches applies, and fields that it
does not set keep their defaults.

>>> rules = ((r"pos_embedding$", {"decay": 0}), (r"^predictor/", {"rate": 10}))
"""

import collections
import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax

from simclr_jax.core import checks, errors, registry

Rules = Sequence[Any]
"""Pairs (regular expression searched in the path, fields of ``Group`` to set)."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Optimizer settings of a group of parameters.

    Attributes:
      decay: factor of the optimizer's weight decay; 0: none.
      trust: whether LARS and LAMB scale the step by the ratio of the norms of the
        parameter and its update.
      rate: factor of the learning rate.
      frozen_steps: number of updates at the start of the run that leave the parameters
        and their optimizer state unchanged.
      constant_rate: whether every step uses the peak learning rate instead of the
        schedule.
      group: a name that separates parameters with otherwise equal settings.
    """

    decay: float = 1.0
    trust: bool = True
    rate: float = 1.0
    frozen_steps: int = 0
    constant_rate: bool = False
    group: str = ""

    @property
    def label(self) -> str:
        """Describes the group in one line; equal only for equal groups."""
        parts = [f"decay {self.decay:g}", "trust" if self.trust else "no trust"]
        if self.rate != 1:
            parts.append(f"rate {self.rate:g}")
        if self.constant_rate:
            parts.append("constant rate")
        if self.frozen_steps:
            parts.append(f"frozen for {self.frozen_steps} steps")
        return ", ".join(([self.group] if self.group else []) + parts)


def resolve(params: Any, *, rules: Rules = ()) -> Any:
    """Returns the group of every parameter.

    Args:
      params: the parameters, a tree of arrays or shapes in dicts.
      rules: first match wins.

    Returns:
      A tree of ``Group`` with the structure of ``params``.

    Raises:
      UserError: if a rule is not a pair, its pattern is not a regular expression, or
        it sets an unknown field or matches no parameter.

    Example:
      >>> import numpy as np
      >>> from simclr_jax import optim
      >>> params = {"kernel": np.ones((2, 2)), "bias": np.zeros(2)}
      >>> optim.resolve(params, rules=[("kernel", {"rate": 10})])["kernel"].rate
      10.0
    """
    parsed = [_parse(rule) for rule in rules]
    flat, structure = jax.tree_util.tree_flatten_with_path(params)
    names = [_join(path) for path, _ in flat]
    for pattern, _ in parsed:
        if not any(pattern.search(name) for name in names):
            raise errors.UserError(
                f"The optimizer's rule {pattern.pattern!r} matches no parameter. Paths "
                f"are like {', '.join(map(repr, names[:3]))}."
            )
    groups = []
    for name, (_, leaf) in zip(names, flat, strict=True):
        is_vector = len(leaf.shape) <= 1
        default = Group(decay=0.0, trust=False) if is_vector else Group()
        fields = next((f for pattern, f in parsed if pattern.search(name)), {})
        groups.append(dataclasses.replace(default, **fields))
    return jax.tree_util.tree_unflatten(structure, groups)


def table(params: Any, *, rules: Rules = ()) -> list[str]:
    """Returns a description of each group of parameters, the largest first.

    Args:
      params: the parameters, a tree of arrays or shapes in dicts.
      rules: see ``resolve``.

    Returns:
      Lines such as ``"54 arrays, 23,454,912 numbers: decay 1, trust"``.

    Example:
      >>> import numpy as np
      >>> from simclr_jax import optim
      >>> params = {"kernel": np.ones((2, 2)), "bias": np.zeros(2)}
      >>> for line in optim.table(params):
      ...     print(line)
      1 arrays, 4 numbers: decay 1, trust
      1 arrays, 2 numbers: decay 0, no trust
    """
    arrays: collections.Counter[str] = collections.Counter()
    sizes: collections.Counter[str] = collections.Counter()
    groups = jax.tree.leaves(resolve(params, rules=rules))
    for group, leaf in zip(groups, jax.tree.leaves(params), strict=True):
        arrays[group.label] += 1
        sizes[group.label] += math.prod(leaf.shape)
    return [
        f"{arrays[label]} arrays, {size:,} numbers: {label}"
        for label, size in sizes.most_common()
    ]


def path_names(tree: Any) -> list[str]:
    """Returns the path of every leaf of ``tree``, as in ``"encoder/stem/norm/scale"``.

    Example:
      >>> import numpy as np
      >>> from simclr_jax import optim
      >>> optim.path_names({"head": {"kernel": np.ones((2, 2))}})
      ['head/kernel']
    """
    return [_join(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]


def _parse(rule: Any) -> tuple[re.Pattern[str], dict[str, Any]]:
    if not isinstance(rule, Iterable) or len(rule := tuple(rule)) != 2:
        raise errors.UserError(
            "An optimizer's rule must be a pair (regular expression, fields), e.g. "
            f"('bias$', {{'decay': 0}}); got {rule!r}."
        )
    pattern, fields = rule
    known = [field.name for field in dataclasses.fields(Group)]
    for name in fields:
        if name not in known:
            raise errors.UserError(
                registry.unknown_name("field of an optimizer's rule:", name, known)
            )
    try:
        return re.compile(pattern), _checked(fields)
    except (re.error, TypeError) as error:
        raise errors.UserError(
            f"The optimizer's rule {pattern!r} is not a regular expression: {error}."
        ) from error


def _checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a rule, numbers as floats; raises for invalid values."""
    checked = dict(fields)
    for name, value in fields.items():
        what = f"The field {name!r} of an optimizer's rule"
        if name in ("decay", "rate"):
            checks.check_in_range(what, value, low=0.0, high=math.inf)
            checked[name] = float(value)
        elif name == "frozen_steps" and value != 0:
            checks.check_positive_int(what, value)
        elif name in ("trust", "constant_rate") and not isinstance(value, bool):
            raise errors.UserError(f"{what} must be True or False; got {value!r}.")
        elif name == "group":
            checked[name] = str(value)
    return checked


def _join(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
