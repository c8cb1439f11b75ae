"""From a config to objects: the one package of the library that knows configs."""

from simclr_jax.assembly.abstract import abstract_arguments
from simclr_jax.assembly.config_files import Recipe, list_recipes, load_config
from simclr_jax.assembly.defaults import base_config
from simclr_jax.assembly.fitting import fit
from simclr_jax.assembly.identity import config_digest, differences
from simclr_jax.assembly.loaded import LoadedEncoder, load
from simclr_jax.assembly.overrides import apply_overrides
from simclr_jax.assembly.parts import (
    Length,
    build_augmentation,
    build_batches,
    build_encoder,
    build_evaluation,
    build_method,
    build_optimizer,
    build_schedule,
    compute_length,
    default_canvas,
    open_images,
    root_key,
    to_json,
    view_shape,
)
from simclr_jax.assembly.run import Run, assemble
from simclr_jax.assembly.saved import save_checkpoint
from simclr_jax.assembly.schema import Config, check, import_modules
from simclr_jax.assembly.sweeps import sweep

__all__ = [
    "Config",
    "Length",
    "LoadedEncoder",
    "Recipe",
    "Run",
    "abstract_arguments",
    "apply_overrides",
    "assemble",
    "base_config",
    "build_augmentation",
    "build_batches",
    "build_encoder",
    "build_evaluation",
    "build_method",
    "build_optimizer",
    "build_schedule",
    "check",
    "compute_length",
    "config_digest",
    "default_canvas",
    "differences",
    "fit",
    "import_modules",
    "list_recipes",
    "load",
    "load_config",
    "open_images",
    "root_key",
    "save_checkpoint",
    "sweep",
    "to_json",
    "view_shape",
]
