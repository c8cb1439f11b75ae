"""The central crop, and what an evaluator does to fit an image to the encoder."""

import jax.numpy as jnp
import numpy as np

from simclr_jax.augment import canvas as canvases
from simclr_jax.augment import kernels, operation, resample
from simclr_jax.core import checks, errors, types


def center_crop(
    image: types.Image | types.PaddedImages,
    *,
    size: resample.Size,
    proportion: float | None = None,
    method: str = "bicubic",
    antialias: bool = True,
) -> resample.ResizedImage:
    """Takes the center of the image.

    Args:
      image: float image in [0, 1], or a canvas of one.
      size: output (height, width), or one number for a square.
      proportion: None takes the central ``size`` pixels as they are. A number in (0, 1]
        takes the central region with the output's aspect ratio that keeps this share
        of the less cropped side, and resizes it; SimCLR evaluates with 0.875.
      method: ``"bilinear"`` or ``"bicubic"``, for the resize.
      antialias: see ``resample.resample_weights``, for the resize.

    Returns:
      The image of shape [out_h, out_w, c] in [0, 1]. An image on a canvas that is
      smaller than the crop cannot be refused, for its size is known on the device
      alone: its largest central region of the output's aspect ratio is enlarged.

    Raises:
      UserError: if the image (not on a canvas) is smaller than the crop, or an option
        is not valid.
    """
    out = resample.size_pair("size", size)
    if proportion is not None:
        checks.check_positive("proportion", proportion)
        checks.check_in_range("proportion", proportion, low=0.0, high=1.0)
    if isinstance(image, types.PaddedImages):
        sides = _sides_on_canvas(image, out, proportion)
        return _center_of_canvas(image, sides, out, method, antialias)
    height, width, _ = image.shape
    crop_h, crop_w = out
    if proportion is not None:
        by_height, by_width = _sides_kept((height, width), out, proportion)
        crop_h, crop_w = (int(side) for side in np.minimum(by_height, by_width))
    if crop_h > height or crop_w > width:
        raise errors.UserError(
            f"center_crop cannot take {crop_h} x {crop_w} pixels out of an image of "
            f"{height} x {width}. Resize the image first, or give a proportion."
        )
    top, left = (height - crop_h + 1) // 2, (width - crop_w + 1) // 2
    cropped = image[top : top + crop_h, left : left + crop_w]
    resized = resample.resize(cropped, size=out, method=method, antialias=antialias)
    return jnp.clip(resized, 0.0, 1.0)


@operation.takes_canvas
def fit_to_size(
    key: types.PRNGKey,
    image: types.Image | types.PaddedImages,
    *,
    size: resample.Size,
    fit: str,
    proportion: float = 0.875,
    method: str = "bicubic",
    antialias: bool = False,
) -> resample.ResizedImage:
    """Fits an image to a size without randomness; see ``recipes.evaluation``.

    Args:
      key: not used.
      image: float image in [0, 1], or a canvas of one.
      size: output (height, width), or one number for a square.
      fit: ``"proportion"``, ``"crop"`` or ``"resize"``.
      proportion: of the less cropped side that is kept.
      method: ``"bilinear"`` or ``"bicubic"``.
      antialias: see ``resample.resample_weights``.

    Returns:
      The image of shape [out_h, out_w, c] in [0, 1].

    Raises:
      UserError: if an option is not valid, or ``fit`` is "crop" and the image (not on a
        canvas) is smaller than the crop.
    """
    del key
    check_fit(fit)
    out = resample.size_pair("size", size)
    if not isinstance(image, types.PaddedImages) and image.shape[:2] == out:
        return image
    if fit == "resize":
        resized = resample.resize(image, size=out, method=method, antialias=antialias)
        return jnp.clip(resized, 0.0, 1.0)
    if fit == "crop" or not isinstance(image, types.PaddedImages):
        kept = None if fit == "crop" else proportion
        return center_crop(
            image, size=out, proportion=kept, method=method, antialias=antialias
        )
    sides = _sides_on_canvas(image, out, proportion)
    # Like an image that has the size, one on a canvas is left as it is.
    has_size = jnp.all(image.size == jnp.asarray(out, jnp.int32))
    sides = jnp.where(has_size, image.size.astype(jnp.int32), sides)
    return _center_of_canvas(image, sides, out, method, antialias)


def check_fit(fit: str) -> None:
    """Raises unless ``fit`` is one of the three ways to fit an image to a size."""
    if fit not in ("proportion", "crop", "resize"):
        raise errors.UserError(
            f"fit must be 'proportion', 'crop' or 'resize'; got {fit!r}."
        )


def _sides_kept(size, out, proportion):
    """Returns what the height, and what the width, allows as (height, width) of a crop.

    The crop is the smaller of the two, side by side. ``size`` may hold arrays.
    """
    height, width = (np.asarray(side, np.float64) for side in size)
    ratio = out[1] / out[0]
    by_height = np.stack([height, height * ratio], axis=-1)
    by_width = np.stack([width / ratio, width], axis=-1)
    return (
        np.maximum(1, np.rint(proportion * allowed)).astype(np.int32)
        for allowed in (by_height, by_width)
    )


def _sides_on_canvas(canvas, out, proportion):
    """Returns the crop's height and width, traced.

    The two tables hold every size that fits the canvas. They are made in float64, like
    the numbers of a plain image, so that both round the same way.
    """
    sizes = (np.arange(1 + side) for side in canvas.pixels.shape[:2])
    tables = _sides_kept(tuple(sizes), out, 1.0 if proportion is None else proportion)
    by_height, by_width = (
        jnp.asarray(table)[side]
        for table, side in zip(tables, canvas.size, strict=True)
    )
    sides = jnp.minimum(by_height, by_width)
    if proportion is not None:
        return sides
    crop = jnp.asarray(out, jnp.int32)
    return jnp.where(jnp.all(canvas.size >= crop), crop, sides)


def _center_of_canvas(canvas, sides, out, method, antialias):
    """Resizes the central box, reading nothing outside it, like a cut-out image."""
    starts = (canvas.size - sides.astype(canvas.size.dtype) + 1) // 2
    pixels, _, _ = canvases.unpack(canvas)
    spans = (
        kernels.Span(start, length, valid=(start, start + length))
        for start, length in zip(
            starts.astype(jnp.float32), sides.astype(jnp.float32), strict=True
        )
    )
    resized = resample.resample(
        pixels, *spans, size=out, method=method, antialias=antialias
    )
    return jnp.clip(resized, 0.0, 1.0)
