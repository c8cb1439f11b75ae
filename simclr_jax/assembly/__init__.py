"""From a config to a run: the one package of the library that knows configs."""

from simclr_jax.assembly import checkpoints, config
from simclr_jax.assembly.abstract import abstract_arguments
from simclr_jax.assembly.checkpoints import LoadedEncoder, load, save_checkpoint
from simclr_jax.assembly.config import Config, base_config, load_config, sweep
from simclr_jax.assembly.fitting import fit
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

__all__ = [
    "Config",
    "Length",
    "LoadedEncoder",
    "Run",
    "abstract_arguments",
    "assemble",
    "base_config",
    "build_augmentation",
    "build_batches",
    "build_encoder",
    "build_evaluation",
    "build_method",
    "build_optimizer",
    "build_schedule",
    "checkpoints",
    "compute_length",
    "config",
    "default_canvas",
    "fit",
    "load",
    "load_config",
    "open_images",
    "root_key",
    "save_checkpoint",
    "sweep",
    "to_json",
    "view_shape",
]
