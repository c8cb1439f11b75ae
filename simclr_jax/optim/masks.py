"""Which parameters an operation applies to: ordered rules over parameter paths.

A mask is a tree of booleans, built once from the parameters' names. (A callable mask
would see other paths when the optimizer is created than when it updates.)
"""

import re
from collections.abc import Sequence
from typing import Any

import jax

from simclr_jax.core import errors

Rules = Sequence[tuple[str, bool]]

DECAYED: Rules = (
    (r"(^|/)bias$", False),
    (r"norm[^/]*(/\d+)?/scale$", False),
    (r".*", True),
)
"""Kernels are decayed; biases and the scales of BatchNorms are not."""

ADAPTED: Rules = DECAYED
"""The original LARS adapts what it decays; the rest is plain momentum."""


def mask_by_path(params: Any, rules: Rules) -> Any:
    """Returns a tree of booleans: the value of the first rule that a path matches.

    Args:
      params: the parameters, a tree of arrays in dicts.
      rules: pairs (regular expression searched in the path, value), first match wins.

    Returns:
      A tree of the structure of ``params``.

    Raises:
      UserError: if no rule matches a path.
    """
    flat, structure = jax.tree_util.tree_flatten_with_path(params)
    values = [_first_match(_join(path), rules) for path, _ in flat]
    return jax.tree_util.tree_unflatten(structure, values)


def path_names(tree: Any) -> list[str]:
    """Returns the path of every leaf, as in ``"encoder/stem/norm/scale"``."""
    return [_join(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]


def _join(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _first_match(name: str, rules: Rules) -> bool:
    for pattern, value in rules:
        if re.search(pattern, name):
            return value
    raise errors.UserError(
        f"No rule matches the parameter {name!r}; rules: {[p for p, _ in rules]}. "
        "End the rules with ('.*', True) or ('.*', False)."
    )
