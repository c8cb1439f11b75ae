"""What makes two runs the same: the fields of a config that decide its numbers."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FREE_FIELDS = (
    "checkpoint_every_steps",
    "keep_checkpoints",
    "loss.schedule",
    "log_every_steps",
    "num_devices",
    "remat",
    "steps_per_call",
    "tensorboard",
    "data.data_dir",
    "data.num_threads",
    "data.num_workers",
    "data.on_bad_image",
    "data.resident_bytes",
    # What was read is compared by its own name and digest, wherever it lies.
    "data.source",
    "data.split",
)
"""What may differ between a run and its continuation: nothing here changes a number."""


def config_digest(values: Mapping[str, Any]) -> str:
    """Returns the first 12 digits of the SHA-256 of what decides a run's numbers.

    Args:
      values: a config as plain JSON values.

    Returns:
      Hexadecimal digits; equal for a run and its continuation.
    """
    text = json.dumps(_identity(values), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Returns a line for every field that decides numbers and is not the same.

    Args:
      old: the values in a checkpoint, plain JSON.
      new: the values of this run.

    Returns:
      Lines such as ``"  temperature: 0.1 in the checkpoint, 0.2 now"``.
    """
    old, new = _identity(old), _identity(new)
    missing = "(not set)"
    return [
        f"  {name}: {old.get(name, missing)!r} in the checkpoint, "
        f"{new.get(name, missing)!r} now"
        for name in sorted(old.keys() | new.keys())
        if old.get(name, missing) != new.get(name, missing)
    ]


def _identity(values: Mapping[str, Any]) -> dict[str, Any]:
    flat = _flatten(values)
    return {name: value for name, value in flat.items() if name not in FREE_FIELDS}


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
