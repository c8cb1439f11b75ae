"""Optimizers as optax chains, with masks by parameter path, and learning rates."""

from simclr_jax.optim.masks import ADAPTED, DECAYED, mask_by_path, path_names
from simclr_jax.optim.optimizers import OPTIMIZERS, build
from simclr_jax.optim.schedules import scale_learning_rate, warmup_cosine

__all__ = [
    "ADAPTED",
    "DECAYED",
    "OPTIMIZERS",
    "build",
    "mask_by_path",
    "path_names",
    "scale_learning_rate",
    "warmup_cosine",
]
