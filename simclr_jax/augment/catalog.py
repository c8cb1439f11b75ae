"""Every recipe by its name."""

from typing import Any

from simclr_jax.augment import compose, recipes, simple_recipes, view_sets
from simclr_jax.core import registry

RECIPES = {
    "byol": view_sets.byol,
    "evaluation": simple_recipes.evaluation,
    "mnist": simple_recipes.mnist,
    "moco_v3": view_sets.moco_v3,
    "simclr_cifar": recipes.simclr_cifar,
    "simclr_v1": recipes.simclr_v1,
    "simclr_v2": recipes.simclr_v2,
    "supervised": simple_recipes.supervised,
    "swav": view_sets.swav,
}


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
    recipe = registry.lookup("augmentation recipe", name, RECIPES)
    compose.check_options(f"recipe {name!r}", recipe, options)
    return recipe(**{name: _as_tuple(value) for name, value in options.items()})


def _as_tuple(value):
    if isinstance(value, list | tuple):
        return tuple(_as_tuple(item) for item in value)
    return value
