"""Reading images and padded images: conversion to float, and the size to read.

A ``types.PaddedImages`` holds an image in the upper left corner of a larger array, so
that images of many sizes fit in one batch. Crops and resizes accept a padded image
wherever they accept an image, and return plain images.
"""

import typing

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from simclr_jax.core import types

Side = float | jax.Array
"""Height or width in pixels: a Python number for an image, traced if padded."""

Pixels = Float[Array, "*b h w c"] | UInt8[Array, "*b h w c"]
"""An image or a batch of images, as stored or as float."""


@typing.overload
def as_float(images: types.PaddedImages) -> types.PaddedImages: ...


@typing.overload
def as_float(images: Pixels) -> Float[Array, "*b h w c"]: ...


def as_float(
    images: Pixels | types.PaddedImages,
) -> Float[Array, "*b h w c"] | types.PaddedImages:
    """Converts stored images to float32 in [0, 1].

    Args:
      images: uint8 in [0, 255] (divided by 255) or float in [0, 1], one image
        [h w c] or a batch [b h w c]; or padded images of either type.

    Returns:
      Float32 images in [0, 1]. For padded images the pixels are converted and the sizes
      kept.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> augment.as_float(jnp.full((1, 1, 1), 255, jnp.uint8))
      Array([[[1.]]], dtype=float32)
    """
    if isinstance(images, types.PaddedImages):
        return images._replace(pixels=_pixels_as_float(images.pixels))
    return _pixels_as_float(images)


def unpack(image: types.Image | types.PaddedImages) -> tuple[types.Image, Side, Side]:
    """Returns the pixels of an image with the height and width that may be read.

    Args:
      image: float image [h w c], or one padded image.

    Returns:
      ``(pixels, height, width)``: the float pixels [h w c], and the height and width in
      pixels of the image in them.
    """
    if isinstance(image, types.PaddedImages):
        height, width = image.size.astype(jnp.float32)
        return _pixels_as_float(image.pixels), height, width
    return image, float(image.shape[0]), float(image.shape[1])


def _pixels_as_float(pixels: jax.Array) -> jax.Array:
    if pixels.dtype == jnp.uint8:
        return pixels.astype(jnp.float32) * (1.0 / 255.0)
    return pixels.astype(jnp.float32)
