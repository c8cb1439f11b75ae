"""The fields of a record beside its image: which a source has, and their digests.

A source with class labels has the field ``label``. It has others if its attribute
``fields`` describes them by name; each of its records then holds an array of that shape
under that name. No jax here.
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
"""One class number; -1 for a record without a label."""


def extra_fields(images: Any) -> dict[str, Field]:
    """Returns the fields of a source that are neither the image nor the label.

    Args:
      images: a ``Source`` or ``Dataset``; one without an attribute ``fields`` has none.
    """
    extra = dict(getattr(images, "fields", None) or {})
    for name in (IMAGE, LABEL):
        if name in extra:
            raise errors.UserError(
                f"{images.name} describes {name!r} in its attribute 'fields'; expected "
                "only fields beside the image and the label, which every record has."
            )
    return extra


def available_fields(images: Any) -> dict[str, Field]:
    """Returns every field of a source beside the image, by name.

    Args:
      images: a ``Source`` or ``Dataset``.
    """
    label = {} if images.num_classes is None else {LABEL: LABEL_FIELD}
    return label | extra_fields(images)


def check_fields(images: Any, names: Iterable[str]) -> None:
    """Raises unless a source has all the fields that are named.

    Args:
      images: a ``Source`` or ``Dataset``.
      names: fields, ``image`` among them or not.

    Raises:
      DataError: names the source, its fields and what to do.
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
    """Returns what tells the contents of fields apart, for the fingerprint of a run.

    Values that are in memory are summed up. For others the name of the source tells
    which files they are in, so that the name of the column is enough.

    Args:
      images: a ``Source`` or ``Dataset`` that has the fields.
      names: fields; the image, for which the name of the source stands, is left out.

    Returns:
      Twelve hexadecimal digits, or the name of a column, for each field.
    """
    return {name: _digest_of(images, name) for name in names if name != IMAGE}


def class_names(images: Any) -> tuple[str, ...]:
    """Returns what to call every class of a source, by number; empty without labels.

    Args:
      images: a ``Source`` or ``Dataset``; where its classes have no names, those are
        their numbers.
    """
    names = getattr(images, "class_names", None)
    return names or tuple(str(number) for number in range(images.num_classes or 0))


def stacked(samples: Mapping[str, Any], name: str) -> np.ndarray:
    """Returns the values of a field, not the image, in decoded samples: [n, ...]."""
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
