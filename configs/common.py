"""What the recipes share. A recipe changes what it needs and adds nothing unknown."""

import ml_collections

from simclr_jax import assembly


def get_base() -> ml_collections.ConfigDict:
    """Returns the fields that every config has, with their defaults."""
    return assembly.base_config()


def set_method(config: ml_collections.ConfigDict, name: str, **options: object) -> None:
    """Replaces the method of a config and all of its options."""
    config.method = ml_collections.ConfigDict({"name": name, **options})


def split_variant(variant: str, choices: tuple[str, ...]) -> list[str]:
    """Returns the variants in ``--config=FILE.py:VARIANT[,VARIANT...]``.

    Raises:
      ValueError: for an unknown one; lists the choices.
    """
    variants = [name for name in variant.split(",") if name]
    for name in variants:
        if name not in choices:
            listed = ", ".join(choices)
            raise ValueError(f"Unknown variant {name!r}. Choices: {listed}.")
    return variants


def make_smoke(config: ml_collections.ConfigDict) -> None:
    """Shrinks a recipe to a few steps that any laptop runs in a minute."""
    config.num_steps = 4
    config.batch_size = 16
    config.log_every_steps = 1
    config.checkpoint_every_steps = 2
