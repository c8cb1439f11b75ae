"""Random views of images: pure ``(key, image[h w c] in [0, 1]) -> image``.

Every operation takes the key first and its options by keyword, works on one image, and
is vmapped over a batch with a key of its own for each image (``views``). Operations
that may come first take a canvas too, for batches of images of many sizes.
"""

from simclr_jax.augment.canvas import as_float
from simclr_jax.augment.catalog import RECIPES, build
from simclr_jax.augment.center import center_crop, fit_to_size
from simclr_jax.augment.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_hue_and_saturation,
    adjust_saturation,
    solarize,
    to_grayscale,
)
from simclr_jax.augment.compose import (
    Augmentation,
    Recipe,
    bind,
    chain,
    drawn_parameters,
    with_probability,
)
from simclr_jax.augment.crop import (
    Box,
    draw_crop_box,
    random_resized_crop,
    resample_box,
)
from simclr_jax.augment.flip import random_horizontal_flip
from simclr_jax.augment.gaussian import blur, default_kernel_size, gaussian_blur
from simclr_jax.augment.jitter import color_jitter, random_grayscale, random_solarize
from simclr_jax.augment.operation import draws, takes_canvas
from simclr_jax.augment.recipes import simclr_cifar, simclr_v1, simclr_v2
from simclr_jax.augment.resample import resize
from simclr_jax.augment.simple_recipes import evaluation, mnist, supervised
from simclr_jax.augment.view_sets import byol, moco_v3, swav
from simclr_jax.augment.views import members, two_views, view_keys, views
from simclr_jax.core.keys import sample_keys

__all__ = [
    "RECIPES",
    "Augmentation",
    "Box",
    "Recipe",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_hue_and_saturation",
    "adjust_saturation",
    "as_float",
    "bind",
    "blur",
    "build",
    "byol",
    "center_crop",
    "chain",
    "color_jitter",
    "default_kernel_size",
    "draw_crop_box",
    "drawn_parameters",
    "draws",
    "evaluation",
    "fit_to_size",
    "gaussian_blur",
    "members",
    "mnist",
    "moco_v3",
    "random_grayscale",
    "random_horizontal_flip",
    "random_resized_crop",
    "random_solarize",
    "resample_box",
    "resize",
    "sample_keys",
    "simclr_cifar",
    "simclr_v1",
    "simclr_v2",
    "solarize",
    "supervised",
    "swav",
    "takes_canvas",
    "to_grayscale",
    "two_views",
    "view_keys",
    "views",
    "with_probability",
]
