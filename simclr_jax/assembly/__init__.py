"""Building runs from configs: ``fit``, ``load``, ``assemble`` and config files.

This is the only package of the library that reads configs:

* config/: the fields of a config, config files, and command-line overrides;
* parts.py, optimization.py: build the encoder, method, data and optimizer of a config;
* run.py: ``assemble`` builds a complete run from a config;
* fitting.py: ``fit`` trains from Python;
* checkpoints/: ``load`` reads a trained encoder.
"""

from simclr_jax.assembly import checkpoints, config
from simclr_jax.assembly.abstract import abstract_arguments
from simclr_jax.assembly.checkpoints import LoadedEncoder, load, save_checkpoint
from simclr_jax.assembly.config import Config, base_config, load_config, sweep
from simclr_jax.assembly.fitting import fit
from simclr_jax.assembly.optimization import (
    build_optimizer,
    build_schedule,
    compute_length,
)
from simclr_jax.assembly.parts import (
    build_augmentation,
    build_encoder,
    build_evaluation,
    build_method,
    open_images,
    root_key,
)
from simclr_jax.assembly.run import Run, assemble

__all__ = [
    "Config",
    "LoadedEncoder",
    "Run",
    "abstract_arguments",
    "assemble",
    "base_config",
    "build_augmentation",
    "build_encoder",
    "build_evaluation",
    "build_method",
    "build_optimizer",
    "build_schedule",
    "checkpoints",
    "compute_length",
    "config",
    "fit",
    "load",
    "load_config",
    "open_images",
    "root_key",
    "save_checkpoint",
    "sweep",
]
