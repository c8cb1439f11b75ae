"""Every recipe by its name."""

from typing import Any

from simclr_jax.augment import compose, recipes, simple_recipes, view_sets
from simclr_jax.core import registry

RECIPES = registry.Registry("augmentation recipe")
"""Every recipe: ``builder(**options) -> Recipe``."""

for _builder in (
    recipes.simclr_cifar,
    recipes.simclr_v1,
    recipes.simclr_v2,
    simple_recipes.evaluation,
    simple_recipes.mnist,
    simple_recipes.supervised,
    view_sets.byol,
    view_sets.moco_v3,
    view_sets.swav,
):
    RECIPES.register(_builder.__name__)(_builder)


def build(name: str, **options: Any) -> compose.Recipe:
    """Returns the recipe of this name.

    Args:
      name: a key of ``RECIPES``.
      **options: keyword arguments of that recipe; lists may stand for tuples.

    Returns:
      An augmentation, or for methods whose views differ a tuple with one for each view.

    Raises:
      UserError: if the name or an option is unknown; lists the choices.
    """
    plain = {name: _as_tuple(value) for name, value in options.items()}
    return RECIPES.build(name, plain)


def _as_tuple(value):
    if isinstance(value, list | tuple):
        return tuple(_as_tuple(item) for item in value)
    return value
