"""Configs: their fields and defaults, config files, overrides and comparison."""

from simclr_jax.assembly.config.config_files import Recipe, list_recipes, load_config
from simclr_jax.assembly.config.defaults import base_config
from simclr_jax.assembly.config.identity import config_digest, differences
from simclr_jax.assembly.config.overrides import apply_overrides
from simclr_jax.assembly.config.schema import Config, check, import_modules
from simclr_jax.assembly.config.sweeps import sweep

__all__ = [
    "Config",
    "Recipe",
    "apply_overrides",
    "base_config",
    "check",
    "config_digest",
    "differences",
    "import_modules",
    "list_recipes",
    "load_config",
    "sweep",
]
