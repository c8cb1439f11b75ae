"""Comparison of configs by the fields that affect the results of a run."""

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
    # The data are compared by their name and digest instead of by their location.
    "data.source",
    "data.split",
)
"""Fields that do not affect results; they may be changed when a run is resumed."""

FREE_PARTS = ("hooks", "init_from")
"""Parts that do not affect the results of a resumed run: hooks only read the state, and
``init_from`` is used at step 0 only."""


def config_digest(values: Mapping[str, Any]) -> str:
    """Computes a digest of the fields that affect the results of a run.

    Args:
      values: a config as plain JSON values.

    Returns:
      The first 12 hexadecimal digits of a SHA-256; equal for a run and its resumption.

    Example:
      >>> from simclr_jax.assembly import config
      >>> one = config.config_digest({"seed": 0, "tensorboard": False})
      >>> one == config.config_digest({"seed": 0, "tensorboard": True})
      True
    """
    text = json.dumps(_identity(values), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Lists the fields that affect results and differ between two configs.

    Args:
      old: values in a checkpoint, plain JSON.
      new: values of this run.

    Returns:
      One line per field.

    Example:
      >>> from simclr_jax.assembly import config
      >>> config.differences({"batch_size": 256}, {"batch_size": 512})
      ['  batch_size: 256 in the checkpoint, 512 now']
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
