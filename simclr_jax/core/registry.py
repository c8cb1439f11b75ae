"""Lookup by name, with errors that list the choices and the nearest match."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from simclr_jax.core import errors

T = TypeVar("T")


def unknown_name(kind: str, name: object, choices: Iterable[str]) -> str:
    """Returns the message for a name that is none of the choices.

    Args:
      kind: what the name stands for, e.g. ``"encoder"``.
      name: the name that was given.
      choices: the names that exist.

    Returns:
      One or two sentences: what was got, the nearest match, the choices.
    """
    choices = sorted(choices)
    near = difflib.get_close_matches(str(name), choices, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"Unknown {kind} {name!r}.{hint} Choices: {', '.join(choices)}."


def lookup(kind: str, name: str, choices: Mapping[str, T]) -> T:
    """Returns ``choices[name]``.

    Args:
      kind: what the name stands for, used in the error.
      name: the key to look up.
      choices: every name with its value.

    Returns:
      The value stored under ``name``.

    Raises:
      UserError: if ``name`` is unknown; lists the choices and the nearest match.
    """
    if name not in choices:
        raise errors.UserError(unknown_name(kind, name, choices))
    return choices[name]
