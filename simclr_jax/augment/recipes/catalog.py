"""Registry of the recipes by name."""

from typing import Any

from simclr_jax.augment import transform
from simclr_jax.augment.recipes import simclr_recipes, simple, view_sets
from simclr_jax.core import registry

RECIPES = registry.Registry("augmentation recipe")
"""Registry of recipes: ``builder(**options) -> Recipe``."""

for _builder in (
    simclr_recipes.simclr_cifar,
    simclr_recipes.simclr_v1,
    simclr_recipes.simclr_v2,
    simple.evaluation,
    simple.mnist,
    simple.supervised,
    view_sets.byol,
    view_sets.moco_v3,
    view_sets.swav,
):
    RECIPES.register(_builder.__name__)(_builder)


def build(name: str, **options: Any) -> transform.Recipe:
    """Builds a recipe by name.

    Args:
      name: a key of ``RECIPES``.
      **options: keyword arguments of that recipe; lists are converted to tuples.

    Returns:
      An augmentation, or a tuple with one for each view if the views differ.

    Raises:
      UserError: if the name or an option is unknown; lists the choices.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> view = augment.build("simclr_cifar", size=32)
      >>> view(jax.random.key(0), jnp.ones((32, 32, 3))).shape
      (32, 32, 3)
    """
    plain = {name: _as_tuple(value) for name, value in options.items()}
    return RECIPES.build(name, plain)


def _as_tuple(value):
    if isinstance(value, list | tuple):
        return tuple(_as_tuple(item) for item in value)
    return value
