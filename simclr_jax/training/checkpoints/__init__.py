"""Checkpoints of a run: written, verified, found and read."""

from simclr_jax.training.checkpoints.checkpoint import (
    Checkpoints,
    find_steps,
    read_item,
    read_meta,
    set_aside,
)
from simclr_jax.training.checkpoints.digest import compare_shapes
from simclr_jax.training.checkpoints.lock import WorkdirLock

__all__ = [
    "Checkpoints",
    "WorkdirLock",
    "compare_shapes",
    "find_steps",
    "read_item",
    "read_meta",
    "set_aside",
]
