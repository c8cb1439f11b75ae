"""The split inside the name of a data set: ``tfds:mnist:train[:90%]``. No jax here."""

import re

KINDS_WITH_SPLIT = ("tfds", "hf")
"""The kinds whose name may end in a split; elsewhere a colon may belong to a path."""

_PART = r"[^:/\\\[\]+]+(?:\[[^\]]*\])?"
_NAME_AND_SPLIT = re.compile(rf"(?P<name>.+?):(?P<split>{_PART}(?:\+{_PART})*)")
_VERSION = re.compile(r"\d+(?:\.\d+)*")


def split_spec(spec: str) -> tuple[str, str | None]:
    """Takes the split off the name of a data set, to ask for another split of it.

    Args:
      spec: as ``config.data.source`` writes it,
        e.g. ``"tfds:mnist:3.0.1:train[:90%]"``.

    Returns:
      The name without the split, ``"tfds:mnist:3.0.1"``, and the split,
      ``"train[:90%]"``, or None where the name has none.
    """
    kind, colon, rest = spec.partition(":")
    match = _NAME_AND_SPLIT.fullmatch(rest) if kind in KINDS_WITH_SPLIT else None
    if match is None or _VERSION.fullmatch(match["split"]):
        return spec, None
    return f"{kind}{colon}{match['name']}", match["split"]


def base_splits(split: str) -> list[str]:
    """Returns the names in ``"train[:90%]+test"``: ``["train", "test"]``."""
    return [part.partition("[")[0] for part in split.split("+")]
