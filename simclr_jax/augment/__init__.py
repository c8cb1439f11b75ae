"""Random views of images: pure functions ``(key, image[h w c] in [0, 1]) -> image``.

Transforms are frozen dataclasses that sample parameters from a key and apply them to
one image. ``Chain`` and ``RandomApply`` compose them; ``views`` maps them over a batch
with one key for each image. ``ops`` also has the deterministic functions, ``recipes``
has the augmentations of published methods.
"""

from simclr_jax.augment import ops, recipes
from simclr_jax.augment.ops import (
    ColorJitter,
    RandomGaussianBlur,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomSolarize,
)
from simclr_jax.augment.padded import as_float
from simclr_jax.augment.recipes import RECIPES, build, evaluation, mnist
from simclr_jax.augment.transform import (
    Augmentation,
    Chain,
    RandomApply,
    Recipe,
    Transform,
    as_transform,
    bind,
)
from simclr_jax.augment.views import members, two_views, view_keys, views
from simclr_jax.core.keys import sample_keys

__all__ = [
    "RECIPES",
    "Augmentation",
    "Chain",
    "ColorJitter",
    "RandomApply",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomSolarize",
    "Recipe",
    "Transform",
    "as_float",
    "as_transform",
    "bind",
    "build",
    "evaluation",
    "members",
    "mnist",
    "ops",
    "recipes",
    "sample_keys",
    "two_views",
    "view_keys",
    "views",
]
