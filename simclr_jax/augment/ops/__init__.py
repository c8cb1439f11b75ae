"""Random transforms of one image, and the deterministic functions they apply."""

from simclr_jax.augment.ops.blur import (
    RandomGaussianBlur,
    default_kernel_size,
    gaussian_blur,
)
from simclr_jax.augment.ops.center import FitToSize, center_crop
from simclr_jax.augment.ops.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_hue_and_saturation,
    adjust_saturation,
    solarize,
    to_grayscale,
)
from simclr_jax.augment.ops.crop import (
    Box,
    RandomResizedCrop,
    resample_box,
    sample_crop_box,
)
from simclr_jax.augment.ops.flip import RandomHorizontalFlip
from simclr_jax.augment.ops.jitter import ColorJitter, RandomGrayscale, RandomSolarize
from simclr_jax.augment.resizing import resize

__all__ = [
    "Box",
    "ColorJitter",
    "FitToSize",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomSolarize",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_hue_and_saturation",
    "adjust_saturation",
    "center_crop",
    "default_kernel_size",
    "gaussian_blur",
    "resample_box",
    "resize",
    "sample_crop_box",
    "solarize",
    "to_grayscale",
]
