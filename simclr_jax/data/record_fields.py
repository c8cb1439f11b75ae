"""Fields of a record other than the image: their description and digests.

A source with class labels has the field ``label``. Other fields are described by name
in its attribute ``fields``; each record then holds an array of that shape under that
name. Does not import JAX.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from simclr_jax.core import errors
from simclr_jax.core.fields import Field

IMAGE = "image"
LABEL = "label"
LABEL_FIELD = Field((), np.int32)
"""A class number; -1 for a record without a label."""


def extra_fields(images: Any) -> dict[str, Field]:
    """Returns the fields of a source other than the image and the label.

    Args:
      images: a ``Source`` or ``Dataset``; without an attribute ``fields`` there are
        none.

    Raises:
      UserError: if ``fields`` describes the image or the label.
    """
    extra = dict(getattr(images, "fields", None) or {})
    for name in (IMAGE, LABEL):
        if name in extra:
            raise errors.UserError(
                f"{images.name} describes {name!r} in its attribute 'fields'; expected "
                "only fields other than image and label, which every record has."
            )
    return extra


def available_fields(images: Any) -> dict[str, Field]:
    """Returns all fields of a source other than the image, by name.

    Args:
      images: a ``Source`` or ``Dataset``.

    Returns:
      A ``Field`` for each name.

    Example:
      >>> from simclr_jax import data
      >>> list(data.available_fields(data.open_source("synthetic:8x8x3:32")))
      ['label']
    """
    label = {} if images.num_classes is None else {LABEL: LABEL_FIELD}
    return label | extra_fields(images)


def check_fields(images: Any, names: Iterable[str]) -> None:
    """Raises an error unless a source has all requested fields.

    Args:
      images: a ``Source`` or ``Dataset``.
      names: the requested fields; ``image`` is always available.

    Raises:
      DataError: if a field is missing.
    """
    wanted = [name for name in names if name != IMAGE]
    missing = [name for name in wanted if name not in available_fields(images)]
    if not missing:
        return
    has = ", ".join([IMAGE, *available_fields(images)])
    remedy = "Choose a method that does not read it, or a source that has it."
    if missing[0] == LABEL:
        remedy = (
            "Give labels (one folder for each class, or a label array or column, which "
            "data.label can name), or choose a method that needs none, such as simclr."
        )
    raise errors.DataError(
        f"{images.name} has no field {missing[0]!r}, which the method reads; it has: "
        f"{has}. {remedy}"
    )


def digests_of(images: Any, names: Iterable[str]) -> dict[str, str]:
    """Returns digests of the contents of fields, for the fingerprint of a run.

    Values in memory are hashed. For other values the name of the column suffices,
    because the name of the source identifies the files.

    Args:
      images: a ``Source`` or ``Dataset`` that has the fields.
      names: the fields; the image is skipped, as the name of the source identifies it.

    Returns:
      Twelve hexadecimal digits, or the name of a column, for each field.
    """
    return {name: _digest_of(images, name) for name in names if name != IMAGE}


def class_names(images: Any) -> tuple[str, ...]:
    """Returns the names of the classes of a source by number; empty without labels.

    Args:
      images: a ``Source`` or ``Dataset``.

    Returns:
      The names; the numbers as text if the classes have no names.

    Example:
      >>> from simclr_jax import data
      >>> data.class_names(data.open_source("synthetic:8x8x3:32"))[:3]
      ('0', '1', '2')
    """
    names = getattr(images, "class_names", None)
    return names or tuple(str(number) for number in range(images.num_classes or 0))


def stacked(samples: Mapping[str, Any], name: str) -> np.ndarray:
    """Returns the values of a field other than the image, [n, ...]."""
    return samples["labels"] if name == LABEL else samples["fields"][name]


def _digest_of(images: Any, name: str) -> str:
    known = getattr(images, "digests", None) or {}
    if name in known:
        return known[name]
    source = getattr(images, "source", images)
    if name == LABEL:
        values = getattr(source, "labels", None)
        column = getattr(source, "label_column", None) or LABEL
    else:
        values, column = (getattr(source, "arrays", None) or {}).get(name), name
    if values is None:
        return column
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:12]
