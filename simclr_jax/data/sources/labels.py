"""Conversion of labels, numbers or names, to class numbers.

Does not import JAX.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from simclr_jax.core import errors

UNLABELED = -1
"""The class number of a record without a label."""


def to_class_numbers(
    where: str,
    values: np.ndarray | Sequence[Any],
    *,
    train_values: np.ndarray | Sequence[Any] | None = None,
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Converts labels to class numbers.

    Integers are kept. Names are numbered in sorted order, starting with the names of
    the training split, so that all splits have the same numbers. ``None``, NaN, an
    empty name and -1 mean that a record has no label.

    Args:
      where: name of the values for messages.
      values: integers, integers stored as floating-point numbers, or names; [n].
      train_values: values of the training split, if that is another split.

    Returns:
      The class numbers, int32 [n], -1 without a label; and the names of the classes,
      None if the values are numbers.

    Raises:
      DataError: if the values have another type, or are too small or too large.
    """
    flat = _flat(where, values)
    if flat.dtype.kind not in "OUS":
        return _whole_numbers(where, flat), None
    names = [_name_of(value) for value in flat.tolist()]
    others = () if train_values is None else _flat(where, train_values).tolist()
    in_train = _sorted({_name_of(value) for value in others} - {""})
    known = [*in_train, *_sorted(set(names) - {""} - set(in_train))]
    number_of = {name: number for number, name in enumerate(known)}
    numbers = [number_of.get(name, UNLABELED) for name in names]
    return np.asarray(numbers, np.int32), tuple(known)


def count_classes(numbers: np.ndarray, names: tuple[str, ...] | None) -> int | None:
    """Returns the number of classes; None if no record has a label.

    Args:
      numbers: class of each record [n]; negative: no label.
      names: names of the classes, where the data set has them.
    """
    if not len(numbers) or numbers.max() < 0:
        return None
    return len(names) if names else int(numbers.max()) + 1


def refuse_option(source: str, label: str | None, *, reason: str) -> None:
    """Raises an error if ``data.label`` is set for a source that does not support it.

    Args:
      source: name of the source for the message.
      label: the value of ``data.label``.
      reason: why the source does not support it.

    Raises:
      UserError: if ``label`` is not None.
    """
    if label is not None:
        raise errors.UserError(
            f"data.label={label!r} names an array or a column of labels, but {source} "
            f"{reason}. Leave data.label out."
        )


def _flat(where: str, values: np.ndarray | Sequence[Any]) -> np.ndarray:
    """Returns the values as an array [n], of objects if types are mixed."""
    if isinstance(values, np.ndarray):
        return values
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {bool}:
        kinds = {int}
    if kinds <= {int} or kinds <= {int, float}:
        nan = float("nan")
        return np.asarray([nan if value is None else value for value in values])
    if kinds <= {str} or kinds <= {bytes}:
        flat = np.empty(len(values), object)
        flat[:] = list(values)
        return flat
    found = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise errors.DataError(
        f"{where} holds values of the types {found}; expected one whole number or one "
        "name for each image."
    )


def _whole_numbers(where: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), UNLABELED, values)
        if not np.all(np.mod(values, 1) == 0):
            odd = values[np.mod(values, 1) != 0][0]
            raise errors.DataError(
                f"{where} holds {odd:g}; expected whole numbers from 0, or names."
            )
    elif values.dtype.kind not in "iub":
        raise errors.DataError(
            f"{where} has dtype {values.dtype}; expected whole numbers from 0, or "
            "names as strings."
        )
    low, high = (values.min(), values.max()) if len(values) else (0, 0)
    if low < UNLABELED or high > np.iinfo(np.int32).max:
        raise errors.DataError(
            f"{where} has values from {low:.0f} to {high:.0f}; expected labels from 0, "
            f"and {UNLABELED} for an image without a label."
        )
    return values.astype(np.int32)


def _name_of(value: Any) -> str:
    """Returns the name of a class as text; empty if it is missing."""
    if value is None or value != value:
        return ""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.strip()


def _sorted(names: set[str]) -> list[str]:
    """Sorts names; numerically if all are numbers."""
    if all(name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)
