"""An image or a canvas: what the operations that may come first read from either.

A ``types.PaddedImages`` holds an image in the upper left corner of a larger array, so that
images of many sizes fit in one batch. The crops and the resizes take one wherever they
take an image; they return plain images, so nothing after them has to know.
"""

import typing

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from simclr_jax.core import types

Side = float | jax.Array
"""Height or width in pixels: a Python number of an image, traced of a canvas."""

Pixels = Float[Array, "*b h w c"] | UInt8[Array, "*b h w c"]
"""An image or a batch of images, stored or in the form that augmentations take."""


@typing.overload
def as_float(images: types.PaddedImages) -> types.PaddedImages: ...


@typing.overload
def as_float(images: Pixels) -> Float[Array, "*b h w c"]: ...


def as_float(
    images: Pixels | types.PaddedImages,
) -> Float[Array, "*b h w c"] | types.PaddedImages:
    """Converts stored images to the form that augmentations take.

    Args:
      images: uint8 in [0, 255], or already float in [0, 1], one or a batch; or a
        canvas of either.

    Returns:
      Float32 images in [0, 1]; of a canvas the pixels are converted, the sizes kept.
    """
    if isinstance(images, types.PaddedImages):
        return images._replace(pixels=_pixels_as_float(images.pixels))
    return _pixels_as_float(images)


def unpack(image: types.Image | types.PaddedImages) -> tuple[types.Image, Side, Side]:
    """Returns the pixels with the height and the width of the image in them.

    Args:
      image: float image [h w c], or a canvas of one image.

    Returns:
      ``(pixels, height, width)``: the float pixels [h w c], and in pixels the sides of
      the part that may be read.
    """
    if isinstance(image, types.PaddedImages):
        height, width = image.size.astype(jnp.float32)
        return _pixels_as_float(image.pixels), height, width
    return image, float(image.shape[0]), float(image.shape[1])


def _pixels_as_float(pixels: jax.Array) -> jax.Array:
    if pixels.dtype == jnp.uint8:
        return pixels.astype(jnp.float32) * (1.0 / 255.0)
    return pixels.astype(jnp.float32)
