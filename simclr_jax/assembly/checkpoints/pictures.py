"""Conversion of users' images (an array, or a list of any sizes) to batches."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from simclr_jax.core import errors, types

_EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV")


def batches(
    images: np.ndarray | Sequence[Any],
    *,
    batch_size: int,
    stored_shape: tuple[int, int, int],
) -> Iterator[jax.Array | types.PaddedImages]:
    """Yields batches of equal shape; copies of the last image complete the last batch.

    Args:
      images: an array [n h w c] or [n h w], or a list of PIL images or arrays.
      batch_size: number of images in a batch.
      stored_shape: (h, w, c) of the images that the encoder was trained on. Larger
        images of a list are scaled down to that size; c is the number of channels.

    Yields:
      uint8 or float32 images [b h w c], or ``types.PaddedImages`` if sizes differ.

    Raises:
      UserError: if an image has another number of channels, another dtype, or values
        out of range.
    """
    batch_size = min(batch_size, max(len(images), 1))
    if isinstance(images, np.ndarray | jax.Array):
        array = _checked(np.asarray(images), stored_shape[-1])
        for start in range(0, len(array), batch_size):
            yield jnp.asarray(_filled(array[start : start + batch_size], batch_size))
        return
    side = max(stored_shape[:2])
    for start in range(0, len(images), batch_size):
        part = images[start : start + batch_size]
        yield _padded(part, side, stored_shape[-1], batch_size)


def _padded(
    images: Sequence[Any], side: int, num_channels: int, batch_size: int
) -> jax.Array | types.PaddedImages:
    """Returns images of many sizes as a batch; a plain array if the sizes are equal."""
    arrays = [_scaled(image, side, num_channels) for image in images]
    if any(array.dtype != np.uint8 for array in arrays):
        arrays = [_as_float(array) for array in arrays]
    sizes = np.array([array.shape[:2] for array in arrays], np.int32)
    if (sizes == sizes[0]).all():
        return jnp.asarray(_filled(np.stack(arrays), batch_size))
    shape = (len(arrays), side, side, num_channels)
    pixels = np.zeros(shape, arrays[0].dtype)
    for padded, array in zip(pixels, arrays, strict=True):
        padded[: array.shape[0], : array.shape[1]] = array
    return types.PaddedImages(
        jnp.asarray(_filled(pixels, batch_size)),
        jnp.asarray(_filled(sizes, batch_size)),
    )


def _scaled(image: Any, side: int, num_channels: int) -> np.ndarray:
    """Returns an image as an array [h w c], scaled down to at most ``side`` pixels.

    A float image is rounded to 8 bits before it is scaled.
    """
    from PIL import Image

    if not isinstance(image, Image.Image):
        array = np.asarray(image)
        if array.ndim not in (2, 3):
            raise errors.UserError(
                "An image of a list must be a PIL image or an array [h w c] or [h w]; "
                f"got {type(image).__name__} of shape {array.shape}."
            )
        array = _checked(array[None], num_channels)[0]
        if max(array.shape[:2]) <= side:
            return array
        if array.dtype != np.uint8:
            array = np.round(array * 255).astype(np.uint8)
        image = Image.fromarray(array[..., 0] if num_channels == 1 else array)
    if image.mode not in _EIGHT_BIT_MODES or num_channels not in (1, 3):
        raise errors.UserError(
            f"A PIL image of mode {image.mode!r} cannot be converted to {num_channels} "
            "channels of 8 bits, because its values for black and white are unknown; "
            "pass arrays, uint8 in [0, 255] or float in [0, 1]."
        )
    image = image.convert("L" if num_channels == 1 else "RGB")
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.BICUBIC)
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array


def _checked(images: np.ndarray, num_channels: int) -> np.ndarray:
    """Returns images [n h w c] as uint8 or as float32 in [0, 1]."""
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise errors.UserError(
            f"images must have shape [n h w c] or [n h w]; got {images.shape}."
        )
    if images.shape[-1] != num_channels:
        raise errors.UserError(
            f"The encoder takes images of {num_channels} channels; got "
            f"{images.shape[-1]} in shape {images.shape}, [n h w c]. Put a single "
            "image into a list."
        )
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise errors.UserError(
            "images must be uint8 in [0, 255] or float in [0, 1]; got "
            f"{images.dtype.name}."
        )
    low, high = (
        (float(np.min(images)), float(np.max(images))) if images.size else (0, 1)
    )
    if not (low >= 0.0 and high <= 1.0):
        raise errors.UserError(
            "float images must lie in [0, 1]; got values from "
            f"{low:g} to {high:g}. Divide images in [0, 255] by 255."
        )
    return images.astype(np.float32)


def _as_float(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array.astype(np.float32) / np.float32(255)
    return array


def _filled(array: np.ndarray, count: int) -> np.ndarray:
    """Pads an array to ``count`` rows by repeating the last one."""
    missing = count - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
