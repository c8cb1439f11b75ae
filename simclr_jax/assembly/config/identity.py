"""What makes two runs the same: the fields of a config that affect its results."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FREE_FIELDS = (
    "checkpoint_every_steps",
    "keep_checkpoints",
    "log_every_steps",
    "modules",
    "tensorboard",
    "execution.loss_algorithm",
    "execution.num_devices",
    "execution.remat",
    "execution.steps_per_call",
    "data.data_dir",
    "data.num_threads",
    "data.num_workers",
    "data.on_bad_image",
    "data.resident_bytes",
    # What was read is compared by its own name and digest, wherever it lies.
    "data.source",
    "data.split",
)
"""What may differ between a run and its continuation; does not affect results."""

FREE_PARTS = ("hooks", "init_from")
"""Parts that may differ: hooks read the state, and a run that goes on has begun."""


def config_digest(values: Mapping[str, Any]) -> str:
    """Returns the first 12 digits of the SHA-256 of what affects a run's results.

    Args:
      values: a config as plain JSON values.

    Returns:
      Hexadecimal digits; equal for a run and its continuation.
    """
    text = json.dumps(_identity(values), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Returns a line for every field that affects results and is not the same.

    Args:
      old: the values in a checkpoint, plain JSON.
      new: the values of this run.

    Returns:
      Lines such as ``"  batch_size: 256 in the checkpoint, 512 now"``.
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
    return {
        name: value
        for name, value in flat.items()
        if name not in FREE_FIELDS and name.split(".")[0] not in FREE_PARTS
    }


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
