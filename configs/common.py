"""What the recipes share. A recipe changes what it needs and adds nothing unknown."""

from collections.abc import Callable, Iterable, Mapping

import ml_collections

from simclr_jax import assembly
from simclr_jax.core import errors, registry


def get_base() -> ml_collections.ConfigDict:
    """Returns the fields that every config has, with their defaults."""
    return assembly.base_config()


def set_method(config: ml_collections.ConfigDict, name: str, **options: object) -> None:
    """Replaces the method of a config and all of its options."""
    config.method = ml_collections.ConfigDict({"name": name, **options})


def apply_variants(
    config: ml_collections.ConfigDict,
    variant: str,
    choices: Mapping[str, Callable[[ml_collections.ConfigDict], None]],
) -> None:
    """Changes a config by the variants in ``--config=NAME:VARIANT[,VARIANT...]``.

    Raises:
      UserError: for an unknown one; lists the choices.
    """
    for name in filter(None, variant.split(",")):
        registry.lookup("variant", name, choices)(config)


def make_smoke(config: ml_collections.ConfigDict) -> None:
    """Shrinks a recipe to a few steps that any laptop runs in a minute."""
    config.num_steps = 4
    config.batch_size = 16
    config.log_every_steps = 1
    config.checkpoint_every_steps = 2


def check_variant(variant: str, choices: Iterable[str]) -> None:
    """Raises unless the part of ``--config=NAME:VARIANT`` after the colon is known.

    Raises:
      UserError: lists the choices.
    """
    if variant and variant not in choices:
        raise errors.UserError(registry.unknown_name("variant", variant, choices))
