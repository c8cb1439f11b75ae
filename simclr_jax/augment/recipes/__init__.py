"""Recipes: the augmentations of published methods, with their options."""

from simclr_jax.augment.recipes.catalog import RECIPES, build
from simclr_jax.augment.recipes.simclr_recipes import simclr_cifar, simclr_v1, simclr_v2
from simclr_jax.augment.recipes.simple import evaluation, mnist, supervised
from simclr_jax.augment.recipes.view_sets import byol, moco_v3, swav

__all__ = [
    "RECIPES",
    "build",
    "byol",
    "evaluation",
    "mnist",
    "moco_v3",
    "simclr_cifar",
    "simclr_v1",
    "simclr_v2",
    "supervised",
    "swav",
]
