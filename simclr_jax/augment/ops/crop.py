"""Random resized crop: a random box of the image, resampled to a fixed size."""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar, NamedTuple, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from simclr_jax.augment import padded, planes, transform
from simclr_jax.augment.resizing import kernels, resample
from simclr_jax.core import checks, registry, types

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
"""Dtypes of a view by name."""


class Box(NamedTuple):
    """Rectangle in pixels, fractions allowed; (0, 0) is the outer corner.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax.augment import ops
      >>> float(ops.Box(*map(jnp.float32, (2, 3, 8, 9))).width)
      9.0
    """

    top: Float[Array, ""]
    left: Float[Array, ""]
    height: Float[Array, ""]
    width: Float[Array, ""]


def sample_crop_box(
    key: types.PRNGKey,
    *,
    height: resample.Number,
    width: resample.Number,
    area: tuple[float, float] = (0.08, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
    sampler: str = "uniform_area",
) -> Box:
    """Samples the box of an "inception" crop.

    The first proposal that fits is placed uniformly in the image. All proposals are
    drawn at once, without a loop. Unlike in both original implementations, sides and
    offsets are not rounded to whole pixels.

    ``"uniform_area"`` is torchvision's ``RandomResizedCrop``. The area of a proposal is
    uniform in ``area`` and the logarithm of its aspect ratio uniform in
    ``log(aspect)``; it fits if it lies inside the image. If none of ten fits (1e-9 of
    the crops of a square image), the box is the largest central one whose aspect ratio
    lies in ``aspect``.

    ``"tf_distorted_box"`` is ``tf.image.sample_distorted_bounding_box`` as the original
    SimCLR calls it: the whole image is the only object, and 10% of it must be covered.
    The aspect ratio of a proposal is uniform in ``aspect``, and its height is uniform
    among those for which the box lies inside the image and its area in ``area``; it
    fits if it covers at least 10% of the image. Therefore the smallest area is 0.10
    even if ``area`` starts at 0.08, and crops are about 10% smaller on average than
    torchvision's. If none of a hundred fits, the box is the whole image.

    Args:
      key: PRNG key.
      height: of the image in pixels; may be traced.
      width: of the image in pixels; may be traced.
      area: smallest and largest share of the image's area, in (0, 1].
      aspect: smallest and largest width / height in pixels.
      sampler: ``"uniform_area"`` or ``"tf_distorted_box"``.

    Returns:
      The box, inside the image up to rounding.

    Raises:
      UserError: if ``area`` or ``aspect`` is not an increasing pair of positive
        numbers, or ``sampler`` is unknown.

    References:
      Szegedy et al., "Going Deeper with Convolutions", 2015, section 6;
      Chen et al., 2020, appendix A. https://arxiv.org/abs/2002.05709

    Example:
      >>> import jax
      >>> from simclr_jax.augment import ops
      >>> box = ops.sample_crop_box(jax.random.key(0), height=28, width=28)
      >>> bool(box.top + box.height <= 28.001)
      True
    """
    _check_ranges(area, aspect)
    rule = registry.lookup("crop sampler", sampler, SAMPLERS)
    height, width = jnp.float32(height), jnp.float32(width)
    draws = jax.random.uniform(key, (2 * rule.num_tries + 2,))
    sides, place = draws[:-2].reshape(2, rule.num_tries), draws[-2:]
    heights, widths, fits = rule.propose(sides, height, width, area, aspect)
    any_fits = jnp.any(fits)
    first = (fits & (jnp.cumsum(fits) == 1)).astype(jnp.float32)
    last_height, last_width = rule.last_resort(height, width, aspect)
    box_height = jnp.where(any_fits, jnp.sum(heights * first), last_height)
    box_width = jnp.where(any_fits, jnp.sum(widths * first), last_width)
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


def _largest_central_box(height, width, aspect):
    ratio = jnp.clip(width / height, aspect[0], aspect[1])
    central_height = jnp.minimum(height, width / ratio)
    return central_height, central_height * ratio


def _propose_distorted_box(draws, height, width, area, aspect):
    """Uniform aspect ratio, uniform height; fits when at least 10% of the area."""
    ratios = aspect[0] + (aspect[1] - aspect[0]) * draws[0]
    largest = jnp.sqrt(area[1] * height * width / ratios)
    largest = jnp.minimum(largest, jnp.minimum(height, width / ratios))
    smallest = jnp.minimum(largest, jnp.sqrt(area[0] * height * width / ratios))
    heights = smallest + (largest - smallest) * draws[1]
    widths = heights * ratios
    shares = heights * widths / (height * width)
    return heights, widths, shares >= max(area[0], MIN_COVERED)


def _whole_image(height, width, aspect):
    del aspect
    return height, width


MIN_COVERED = 0.1
"""Smallest share of the image in a distorted box: TensorFlow's default of
``min_object_covered``, which the original SimCLR passes too."""


class Sampler(NamedTuple):
    """Rule for boxes: proposals, their number, and the sides if none fits."""

    propose: Callable[..., tuple[jax.Array, jax.Array, jax.Array]]
    num_tries: int
    last_resort: Callable[..., tuple[jax.Array, jax.Array]]


SAMPLERS = {
    "tf_distorted_box": Sampler(_propose_distorted_box, 100, _whole_image),
    "uniform_area": Sampler(_propose_uniform_area, 10, _largest_central_box),
}


def resample_box(
    image: types.Image | types.PaddedImages,
    box: Box,
    *,
    size: resample.Size,
    method: str = "bilinear",
    antialias: bool = True,
    flipped: bool | Bool[Array, ""] = False,
    dtype: str = "float32",
) -> resample.ResizedImage:
    """Resamples a box of the image to a fixed size.

    Output pixels near the edge of the box also read the pixels just outside it (inside
    the image), as Pillow's ``resize(..., box=...)`` does.

    Args:
      image: float image, or a padded image, of which nothing beyond its size is read.
      box: the box in pixels of the image; may be traced.
      size: output (height, width), or one number for a square.
      method: ``"bilinear"`` or ``"bicubic"``.
      antialias: see ``resample.resample_weights``.
      flipped: exchanges left and right; may be traced.
      dtype: of the result, ``"float32"`` or ``"bfloat16"``. In bfloat16 the products
        take bfloat16 operands and add in float32. They read the pixels as 0 to 255,
        which bfloat16 represents exactly; most multiples of 1 / 255 would be rounded.

    Returns:
      The image of shape [out_h, out_w, c]; bicubic may overshoot the range.

    Raises:
      UserError: if ``size``, ``method`` or ``dtype`` is not valid.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax.augment import ops
      >>> box = ops.Box(*map(jnp.float32, (2, 2, 8, 8)))
      >>> ops.resample_box(jnp.ones((12, 12, 3)), box, size=4).shape
      (4, 4, 3)
    """
    out_dtype = registry.lookup("dtype", dtype, DTYPES)
    pixels, height, width = padded.unpack(image)
    rows = kernels.Span(box.top, box.height, valid=(0.0, height))
    columns = kernels.Span(box.left, box.width, valid=(0.0, width), mirrored=flipped)
    options = {"size": size, "method": method, "antialias": antialias}
    if out_dtype == jnp.float32:
        return resample.resample(pixels, rows, columns, **options)
    bytes_ = (pixels * 255.0).astype(out_dtype)
    out = resample.resample(bytes_, rows, columns, **options)
    return (out * (1.0 / 255.0)).astype(out_dtype)


class CropParams(NamedTuple):
    """Parameters of ``RandomResizedCrop``; the box is in pixels."""

    crop_top: Float[Array, ""]
    crop_left: Float[Array, ""]
    crop_height: Float[Array, ""]
    crop_width: Float[Array, ""]
    flipped: Bool[Array, ""]


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomResizedCrop(transform.Transform):
    """Crops a random box of the image, resizes it to ``size``, and may mirror it.

    Accepts padded images; the box lies inside the image.

    Attributes:
      size: output (height, width) in pixels, or one number for a square.
      area: range of the box's share of the image's area; see ``sample_crop_box``.
      aspect: range of the box's width / height.
      sampler: distribution of the box, ``"uniform_area"`` or ``"tf_distorted_box"``.
      method: ``"bilinear"`` or ``"bicubic"``; bicubic is clipped back to [0, 1].
      antialias: see ``resample.resample_weights``. The original implementation of
        SimCLR samples without antialiasing.
      flip_probability: of exchanging left and right, in [0, 1]. The weights of the
        resize are mirrored, which has no cost.
      dtype: of the view, ``"float32"`` or ``"bfloat16"``; see ``resample_box``. The
        transforms that follow keep it.

    Raises:
      UserError: if an option is not valid.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> crop = augment.RandomResizedCrop(size=24, area=(0.3, 1.0))
      >>> image = jnp.ones((28, 28, 1))
      >>> params = crop.sample(jax.random.key(0), image)
      >>> crop.apply(params, image).shape
      (24, 24, 1)
    """

    size: resample.Size
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    sampler: str = "uniform_area"
    method: str = "bilinear"
    antialias: bool = True
    flip_probability: float = 0.0
    dtype: str = "float32"

    label: ClassVar[str] = "crop"

    def __post_init__(self) -> None:
        """Checks the options and converts the size to (height, width)."""
        object.__setattr__(self, "size", resample.size_pair("size", self.size))
        _check_ranges(self.area, self.aspect)
        registry.lookup("crop sampler", self.sampler, SAMPLERS)
        registry.lookup("resampling method", self.method, kernels.KERNELS)
        registry.lookup("dtype", self.dtype, DTYPES)
        checks.check_in_range(
            "flip_probability", self.flip_probability, low=0.0, high=1.0
        )

    def sample(
        self, key: types.PRNGKey, image: types.Image | types.PaddedImages, /
    ) -> CropParams:
        """Samples the box and the flip.

        Args:
          key: PRNG key; split into one for the box and one for the flip, unless
            ``flip_probability`` is zero.
          image: float image or a padded image, for its size.

        Returns:
          The box in pixels, and whether it is mirrored.
        """
        _, height, width = padded.unpack(image)
        flipped = jnp.bool_(False)
        if self.flip_probability > 0.0:
            key, flip_key = jax.random.split(key)
            flipped = jax.random.bernoulli(flip_key, self.flip_probability)
        box = sample_crop_box(
            key,
            height=height,
            width=width,
            area=self.area,
            aspect=self.aspect,
            sampler=self.sampler,
        )
        return CropParams(*box, flipped=flipped)

    def apply(
        self, params: CropParams, image: types.Image | types.PaddedImages, /
    ) -> resample.ResizedImage:
        """Resamples the box to ``size``, clipped to [0, 1]."""
        out = resample_box(
            image,
            Box(*params[:4]),
            size=self.size,
            method=self.method,
            antialias=self.antialias,
            flipped=params.flipped if self.flip_probability > 0.0 else False,
            dtype=self.dtype,
        )
        return planes.map_planes(lambda band: jnp.clip(band, 0.0, 1.0), out)

    def accepts_padded(self) -> bool:
        """Returns True."""
        return True


def _check_ranges(area: tuple[float, float], aspect: tuple[float, float]) -> None:
    checks.check_interval("area", area, low=0.0, high=1.0)
    checks.check_positive("area", area[0])
    checks.check_interval("aspect", aspect, low=0.0, high=float("inf"))
    checks.check_positive("aspect", aspect[0])
    checks.check_positive("aspect", aspect[1])
