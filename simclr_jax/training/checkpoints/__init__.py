"""Checkpoints of a run: writing, verifying, finding and reading."""

from simclr_jax.training.checkpoints.checkpoint import Checkpoints
from simclr_jax.training.checkpoints.digest import compare_shapes
from simclr_jax.training.checkpoints.lock import WorkdirLock
from simclr_jax.training.checkpoints.step_folder import (
    find_steps,
    read_item,
    read_meta,
    set_aside,
)

__all__ = [
    "Checkpoints",
    "WorkdirLock",
    "compare_shapes",
    "find_steps",
    "read_item",
    "read_meta",
    "set_aside",
]
