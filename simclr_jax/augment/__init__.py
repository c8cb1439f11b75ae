"""Random views of images: pure ``(key, image[h w c] in [0, 1]) -> image``.

Every operation takes the key first and its options by keyword, works on one image, and
is vmapped over a batch with a key of its own for each image (``two_views``).
"""

from simclr_jax.augment.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_hue_and_saturation,
    adjust_saturation,
    solarize,
    to_grayscale,
)
from simclr_jax.augment.compose import Augmentation, bind, chain, with_probability
from simclr_jax.augment.crop import (
    Box,
    center_crop,
    draw_crop_box,
    random_resized_crop,
    resample_box,
)
from simclr_jax.augment.flip import random_horizontal_flip
from simclr_jax.augment.gaussian import blur, default_kernel_size, gaussian_blur
from simclr_jax.augment.jitter import color_jitter, random_grayscale, random_solarize
from simclr_jax.augment.recipes import build, evaluation, mnist, simclr, simclr_cifar
from simclr_jax.augment.resample import resize
from simclr_jax.augment.views import as_float, sample_keys, two_views

__all__ = [
    "Augmentation",
    "Box",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_hue_and_saturation",
    "adjust_saturation",
    "as_float",
    "bind",
    "blur",
    "build",
    "center_crop",
    "chain",
    "color_jitter",
    "default_kernel_size",
    "draw_crop_box",
    "evaluation",
    "gaussian_blur",
    "mnist",
    "random_grayscale",
    "random_horizontal_flip",
    "random_resized_crop",
    "random_solarize",
    "resample_box",
    "resize",
    "sample_keys",
    "simclr",
    "simclr_cifar",
    "solarize",
    "to_grayscale",
    "two_views",
    "with_probability",
]
