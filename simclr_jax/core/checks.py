"""Validators of arguments.

Each raises ``UserError`` (a ``ValueError``) that states the value, the expectation and,
where there is one, the remedy. They read shapes and Python numbers only, so they are
safe under ``jax.jit``.
"""

import math
import numbers
from collections.abc import Sequence
from typing import TypeGuard

import jax

from simclr_jax.core import errors


def check_positive(name: str, value: object) -> None:
    """Raises unless ``value`` is a finite number above zero.

    ``name`` is what an error message calls the value.

    Example:
      >>> from simclr_jax.core import checks
      >>> checks.check_positive("temperature", 0.1)
    """
    if not _is_number(value) or not math.isfinite(value) or value <= 0:
        raise errors.UserError(f"{name} must be a number > 0; got {value!r}.")


def check_positive_int(name: str, value: object) -> None:
    """Raises unless ``value`` is a whole number of at least one.

    ``name`` is what an error message calls the value.

    Example:
      >>> from simclr_jax.core import checks
      >>> checks.check_positive_int("batch_size", 128)
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        raise errors.UserError(f"{name} must be a whole number >= 1; got {value!r}.")


def check_in_range(name: str, value: object, *, low: float, high: float) -> None:
    """Raises unless ``low <= value <= high``.

    ``name`` is what an error message calls the value.

    Example:
      >>> from simclr_jax.core import checks
      >>> checks.check_in_range("probability", 0.5, low=0.0, high=1.0)
    """
    if not _is_number(value) or not low <= value <= high:
        raise errors.UserError(f"{name} must be in [{low}, {high}]; got {value!r}.")


def check_interval(
    name: str, value: Sequence[float], *, low: float, high: float
) -> None:
    """Raises unless ``value`` is an increasing pair inside ``[low, high]``.

    ``name`` is what an error message calls the value.

    Example:
      >>> from simclr_jax.core import checks
      >>> checks.check_interval("area", (0.08, 1.0), low=0.0, high=1.0)
    """
    ordered = len(value) == 2 and low <= value[0] <= value[1] <= high
    if not ordered:
        raise errors.UserError(
            f"{name} must be a pair (smallest, largest) inside [{low}, {high}]; "
            f"got {tuple(value)!r}."
        )


def check_rank(name: str, array: jax.Array, rank: int, *, shape: str) -> None:
    """Raises unless ``array`` has ``rank`` axes; ``shape`` names them, as in "b d".

    ``name`` is what an error message calls the value.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax.core import checks
      >>> checks.check_rank("embeddings", jnp.zeros((4, 8)), 2, shape="b d")
    """
    if array.ndim != rank:
        raise errors.UserError(
            f"{name} must have shape [{shape}]; got shape {tuple(array.shape)}."
        )


def check_divisible(name: str, value: int, *, by: int, remedy: str) -> None:
    """Raises unless ``value`` is a multiple of ``by``; ``remedy`` says what to do.

    ``name`` is what an error message calls the value.

    Example:
      >>> from simclr_jax.core import checks
      >>> checks.check_divisible("batch_size", 128, by=8, remedy="Use 128.")
    """
    if value % by:
        raise errors.UserError(
            f"{name} must be a multiple of {by}; got {value}. {remedy}"
        )


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
