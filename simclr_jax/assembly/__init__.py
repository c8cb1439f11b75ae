"""From a config to objects: the one room of the library that knows configs."""

from simclr_jax.assembly.abstract import abstract_arguments
from simclr_jax.assembly.config_files import Recipe, list_recipes, load_config
from simclr_jax.assembly.parts import (
    DTYPES,
    Config,
    Length,
    build_augmentation,
    build_batches,
    build_encoder,
    build_evaluation,
    build_method,
    build_optimizer,
    build_schedule,
    check,
    compute_length,
    default_canvas,
    open_images,
    root_key,
    to_json,
    view_shape,
)
from simclr_jax.assembly.restored import RestoredEncoder, restore_encoder
from simclr_jax.assembly.run import Run, assemble
from simclr_jax.assembly.sweeps import sweep

__all__ = [
    "DTYPES",
    "Config",
    "Length",
    "Recipe",
    "RestoredEncoder",
    "Run",
    "abstract_arguments",
    "assemble",
    "build_augmentation",
    "build_batches",
    "build_encoder",
    "build_evaluation",
    "build_method",
    "build_optimizer",
    "build_schedule",
    "check",
    "compute_length",
    "default_canvas",
    "list_recipes",
    "load_config",
    "open_images",
    "restore_encoder",
    "root_key",
    "sweep",
    "to_json",
    "view_shape",
]
