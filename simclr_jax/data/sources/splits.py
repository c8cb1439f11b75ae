"""Parsing of splits in the name of a data set, as in ``tfds:mnist:train[:90%]``.

Does not import JAX.
"""

import re

from simclr_jax.core import errors

KINDS_WITH_SPLIT = ("tfds", "hf")
"""Kinds whose name may end in a split; for others a colon may be part of a path."""

_PART = r"[^:/\\\[\]+]+(?:\[[^\]]*\])?"
_NAME_AND_SPLIT = re.compile(rf"(?P<name>.+?):(?P<split>{_PART}(?:\+{_PART})*)")
_BOUND = r"-?\d+(?:\.\d+)?%|-?\d+|"
_NAME_AND_BOUNDS = re.compile(
    rf"(?P<name>[^\[\]]+)\[(?P<start>{_BOUND}):(?P<stop>{_BOUND})\]"
)
_VERSION = re.compile(r"\d+(?:\.\d+)*")


def split_spec(spec: str) -> tuple[str, str | None]:
    """Separates the name of a data set from its split.

    Args:
      spec: a value of ``config.data.source``, e.g. ``"tfds:mnist:3.0.1:train[:90%]"``.

    Returns:
      The name without the split, and the split, or None if there is none.

    Example:
      >>> from simclr_jax import data
      >>> data.split_spec("tfds:mnist:3.0.1:train[:90%]")
      ('tfds:mnist:3.0.1', 'train[:90%]')
      >>> data.split_spec("folder:/data/photos")
      ('folder:/data/photos', None)
    """
    kind, colon, rest = spec.partition(":")
    match = _NAME_AND_SPLIT.fullmatch(rest) if kind in KINDS_WITH_SPLIT else None
    if match is None or _VERSION.fullmatch(match["split"]):
        return spec, None
    return f"{kind}{colon}{match['name']}", match["split"]


def base_splits(split: str) -> list[str]:
    """Returns the names in ``split``, e.g. those of ``"train[:90%]+test"``.

    Returns:
      Here ``["train", "test"]``.
    """
    return [part.partition("[")[0] for part in split.split("+")]


def name_and_bounds(split: str) -> tuple[str, tuple[str, str] | None]:
    """Splits ``"train[:80%]"`` into the name ``"train"`` and the range ``("", "80%")``.

    Args:
      split: a name, optionally followed by ``[START:STOP]``. Each bound is a number of
        records, a percentage, or empty; negative values count from the end.

    Returns:
      The name, and the bounds as text or None if there are none.

    Raises:
      DataError: if the brackets have another form.
    """
    match = _NAME_AND_BOUNDS.fullmatch(split)
    if match:
        return match["name"], (match["start"], match["stop"])
    if "[" in split:
        raise errors.DataError(
            f"Cannot read the split {split!r}. Expected a name with at most one range, "
            "e.g. train[:80%], train[80%:] or train[:1000]."
        )
    return split, None


def slice_rows(bounds: tuple[str, str], *, num_records: int) -> tuple[int, int]:
    """Converts the bounds of a range to indices of records.

    A percentage is rounded to the nearest record, so that ``[:80%]`` and ``[80%:]``
    are disjoint and together contain all records.

    Args:
      bounds: start and stop as returned by ``name_and_bounds``.
      num_records: number of records in the whole split.

    Returns:
      ``(start, stop)``, with 0 <= start <= stop <= num_records.

    Raises:
      DataError: if a bound is outside the split, or stop is before start.
    """
    start = _position(bounds[0], 0, num_records)
    stop = _position(bounds[1], num_records, num_records)
    if not 0 <= start <= stop <= num_records:
        raise errors.DataError(
            f"The range [{bounds[0]}:{bounds[1]}] does not lie inside the "
            f"{num_records} records of the split: it would be records {start} to "
            f"{stop}. Expected 0 <= start <= stop <= {num_records}, or percentages "
            "from 0% to 100%."
        )
    return start, stop


def _position(bound: str, default: int, num_records: int) -> int:
    if not bound:
        return default
    if bound.endswith("%"):
        position = round(float(bound[:-1]) * num_records / 100)
    else:
        position = int(bound)
    return position + num_records if bound.startswith("-") else position
