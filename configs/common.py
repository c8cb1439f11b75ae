"""Functions shared by the recipes: the default config, variants and smoke tests."""

from collections.abc import Callable, Iterable, Mapping

import ml_collections

from simclr_jax import assembly
from simclr_jax.core import errors, registry


def get_base() -> ml_collections.ConfigDict:
    """Returns a config with all fields set to their defaults."""
    return assembly.base_config()


def set_method(config: ml_collections.ConfigDict, name: str, **options: object) -> None:
    """Replaces the method of a config, including all options."""
    config.method = ml_collections.ConfigDict({"name": name, **options})


def apply_variants(
    config: ml_collections.ConfigDict,
    variant: str,
    choices: Mapping[str, Callable[[ml_collections.ConfigDict], None]],
) -> None:
    """Applies the variants of ``--config=NAME:VARIANT[,VARIANT...]`` to a config.

    Args:
      config: modified in place.
      variant: names separated by commas; may be empty.
      choices: functions that modify a config, by name.

    Raises:
      UserError: if a name is unknown; the message lists the choices.
    """
    for name in filter(None, variant.split(",")):
        registry.lookup("variant", name, choices)(config)


def make_smoke(config: ml_collections.ConfigDict) -> None:
    """Reduces a recipe to four steps that run in less than a minute on a laptop."""
    config.num_steps = 4
    config.batch_size = 16
    config.log_every_steps = 1
    config.checkpoint_every_steps = 2


def check_variant(variant: str, choices: Iterable[str]) -> None:
    """Raises unless the variant of ``--config=NAME:VARIANT`` is known.

    Args:
      variant: the name; may be empty.
      choices: the known names.

    Raises:
      UserError: if the name is unknown; the message lists the choices.
    """
    if variant and variant not in choices:
        raise errors.UserError(registry.unknown_name("variant", variant, choices))
