"""Optimizers as optax chains, with rules by parameter path, and learning rates."""

from simclr_jax.optim.optimizers import OPTIMIZERS, build
from simclr_jax.optim.rules import Group, path_names, resolve, table
from simclr_jax.optim.schedules import scale_learning_rate, warmup_cosine

__all__ = [
    "OPTIMIZERS",
    "Group",
    "build",
    "path_names",
    "resolve",
    "scale_learning_rate",
    "table",
    "warmup_cosine",
]
