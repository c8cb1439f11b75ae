"""Crops: a random box resampled to a fixed size, and the central crop."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simclr_jax.augment import resample
from simclr_jax.core import checks, errors, registry, types

NUM_TRIES = 10
"""Boxes proposed before the central crop is taken, as in torchvision."""


class Box(NamedTuple):
    """A rectangle in pixels; fractions are allowed. (0, 0) is the outer corner."""

    top: Float[Array, ""]
    left: Float[Array, ""]
    height: Float[Array, ""]
    width: Float[Array, ""]


def draw_crop_box(
    key: types.PRNGKey,
    *,
    height: resample.Number,
    width: resample.Number,
    area: tuple[float, float] = (0.08, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
    sampler: str = "uniform_area",
) -> Box:
    """Draws the box of an "inception" crop.

    The rule is torchvision's: of ten proposals the first that fits the image is taken
    and placed uniformly; if none fits, the largest central box whose aspect ratio lies
    in ``aspect``. All ten are drawn at once, so there is no loop. For a square image
    and the default ranges a proposal fits with probability 0.87, so the central crop
    has probability 1e-9. Sides and offsets are not rounded to whole pixels.

    A proposal of ``"uniform_area"`` (torchvision) has its area uniform in ``area`` and
    the logarithm of its aspect ratio uniform in ``log(aspect)``. One of
    ``"tensorflow"`` (``sample_distorted_bounding_box``, which the original SimCLR ran)
    has its aspect ratio uniform in ``aspect`` and its height uniform among those that
    fit, and is refused under 10% of the area; its crops are about 10% smaller on
    average.

    Args:
      key: PRNG key.
      height: of the image in pixels; may be traced.
      width: of the image in pixels; may be traced.
      area: smallest and largest share of the image's area, in (0, 1].
      aspect: smallest and largest width / height in pixels.
      sampler: ``"uniform_area"`` or ``"tensorflow"``.

    Returns:
      The box, inside the image up to rounding.

    Raises:
      UserError: if ``area`` or ``aspect`` is no increasing pair of positive numbers,
        or ``sampler`` is unknown.

    References:
      Szegedy et al., "Going Deeper with Convolutions", 2015, section 6;
      Chen et al., 2020, appendix A. https://arxiv.org/abs/2002.05709
    """
    _check_ranges(area, aspect)
    propose = registry.lookup("crop sampler", sampler, SAMPLERS)
    height, width = jnp.float32(height), jnp.float32(width)
    draws = jax.random.uniform(key, (2 * NUM_TRIES + 2,))
    sides, place = draws[:-2].reshape(2, NUM_TRIES), draws[-2:]
    heights, widths, fits = propose(sides, height, width, area, aspect)
    any_fits = jnp.any(fits)
    first = (fits & (jnp.cumsum(fits) == 1)).astype(jnp.float32)
    ratio = jnp.clip(width / height, aspect[0], aspect[1])
    central_height = jnp.minimum(height, width / ratio)
    box_height = jnp.where(any_fits, jnp.sum(heights * first), central_height)
    box_width = jnp.where(any_fits, jnp.sum(widths * first), central_height * ratio)
    place = jnp.where(any_fits, place, 0.5)
    return Box(
        top=place[0] * (height - box_height),
        left=place[1] * (width - box_width),
        height=box_height,
        width=box_width,
    )


def _propose_uniform_area(draws, height, width, area, aspect):
    """Uniform area, log-uniform aspect ratio; fits when inside the image."""
    areas = (area[0] + (area[1] - area[0]) * draws[0]) * height * width
    low, high = math.log(aspect[0]), math.log(aspect[1])
    ratios = jnp.exp(low + (high - low) * draws[1])
    heights, widths = jnp.sqrt(areas / ratios), jnp.sqrt(areas * ratios)
    return heights, widths, (heights <= height) & (widths <= width)


def _propose_tensorflow(draws, height, width, area, aspect):
    """Uniform aspect ratio, uniform height; fits when at least 10% of the area."""
    ratios = aspect[0] + (aspect[1] - aspect[0]) * draws[0]
    largest = jnp.sqrt(area[1] * height * width / ratios)
    largest = jnp.minimum(largest, jnp.minimum(height, width / ratios))
    smallest = jnp.minimum(largest, jnp.sqrt(area[0] * height * width / ratios))
    heights = smallest + (largest - smallest) * draws[1]
    widths = heights * ratios
    shares = heights * widths / (height * width)
    return heights, widths, shares >= max(area[0], 0.1)


SAMPLERS = {
    "tensorflow": _propose_tensorflow,
    "uniform_area": _propose_uniform_area,
}


def resample_box(
    image: types.Image,
    box: Box,
    *,
    size: resample.Size,
    method: str = "bilinear",
    antialias: bool = True,
) -> resample.ResizedImage:
    """Resamples one box of the image to a fixed size.

    Output pixels near the edge of the box also read the pixels just outside it (where
    the image has any), as Pillow's ``resize(..., box=...)`` does.

    Args:
      image: float image.
      box: the box, which may be traced.
      size: output (height, width), or one number for a square.
      method: ``"bilinear"`` or ``"bicubic"``.
      antialias: see ``resample.resample_weights``.

    Returns:
      The image of shape [out_h, out_w, c]; bicubic may overshoot the range.

    Raises:
      UserError: if ``size`` or ``method`` is not valid.
    """
    out_h, out_w = resample.size_pair("size", size)
    rows = resample.resample_weights(
        start=box.top,
        length=box.height,
        in_size=image.shape[0],
        out_size=out_h,
        method=method,
        antialias=antialias,
    )
    columns = resample.resample_weights(
        start=box.left,
        length=box.width,
        in_size=image.shape[1],
        out_size=out_w,
        method=method,
        antialias=antialias,
    )
    return resample.apply_along_axes(image, rows, columns)


def random_resized_crop(
    key: types.PRNGKey,
    image: types.Image,
    *,
    size: resample.Size,
    area: tuple[float, float] = (0.08, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
    sampler: str = "uniform_area",
    method: str = "bilinear",
    antialias: bool = True,
) -> resample.ResizedImage:
    """Cuts a random box out of the image and resizes it to ``size``.

    Args:
      key: PRNG key.
      image: float image in [0, 1].
      size: output (height, width), or one number for a square.
      area: range of the box's share of the image's area; see ``draw_crop_box``.
      aspect: range of the box's width / height.
      sampler: distribution of the box, ``"uniform_area"`` or ``"tensorflow"``.
      method: ``"bilinear"`` or ``"bicubic"``; bicubic is clipped back to [0, 1].
      antialias: see ``resample.resample_weights``. The original implementation of
        SimCLR samples without.

    Returns:
      The image of shape [out_h, out_w, c] in [0, 1].

    Raises:
      UserError: if a range, ``size`` or ``method`` is not valid.
    """
    box = draw_crop_box(
        key,
        height=float(image.shape[0]),
        width=float(image.shape[1]),
        area=area,
        aspect=aspect,
        sampler=sampler,
    )
    out = resample_box(image, box, size=size, method=method, antialias=antialias)
    return jnp.clip(out, 0.0, 1.0)


def center_crop(
    image: types.Image,
    *,
    size: resample.Size,
    proportion: float | None = None,
    method: str = "bicubic",
    antialias: bool = True,
) -> resample.ResizedImage:
    """Takes the center of the image.

    Args:
      image: float image in [0, 1].
      size: output (height, width), or one number for a square.
      proportion: None takes the central ``size`` pixels as they are. A number in (0, 1]
        takes the central region with the output's aspect ratio that keeps this share
        of the less cropped side, and resizes it; SimCLR evaluates with 0.875.
      method: ``"bilinear"`` or ``"bicubic"``, for the resize.
      antialias: see ``resample.resample_weights``, for the resize.

    Returns:
      The image of shape [out_h, out_w, c] in [0, 1].

    Raises:
      UserError: if the image is smaller than the crop, or an option is not valid.
    """
    out_h, out_w = resample.size_pair("size", size)
    height, width, _ = image.shape
    if proportion is None:
        crop_h, crop_w = out_h, out_w
    else:
        checks.check_positive("proportion", proportion)
        checks.check_in_range("proportion", proportion, low=0.0, high=1.0)
        ratio = out_w / out_h
        crop_h = max(1, round(proportion * min(height, width / ratio)))
        crop_w = max(1, round(proportion * min(width, height * ratio)))
    if crop_h > height or crop_w > width:
        raise errors.UserError(
            f"center_crop cannot take {crop_h} x {crop_w} pixels out of an image of "
            f"{height} x {width}. Resize the image first, or give a proportion."
        )
    top, left = (height - crop_h + 1) // 2, (width - crop_w + 1) // 2
    cropped = image[top : top + crop_h, left : left + crop_w]
    out = resample.resize(cropped, size=size, method=method, antialias=antialias)
    return jnp.clip(out, 0.0, 1.0)


def _check_ranges(area: tuple[float, float], aspect: tuple[float, float]) -> None:
    checks.check_interval("area", area, low=0.0, high=1.0)
    checks.check_positive("area", area[0])
    checks.check_interval("aspect", aspect, low=0.0, high=float("inf"))
    checks.check_positive("aspect", aspect[0])
    checks.check_positive("aspect", aspect[1])
