"""Central crop, and fitting an image to the input size of an encoder."""

import dataclasses
from typing import Any, ClassVar, final

import jax.numpy as jnp
import numpy as np

from simclr_jax.augment import padded, transform
from simclr_jax.augment.resizing import kernels, resample
from simclr_jax.core import checks, errors, registry, types


def center_crop(
    image: types.Image | types.PaddedImages,
    *,
    size: resample.Size,
    proportion: float | None = None,
    method: str = "bicubic",
    antialias: bool = True,
) -> resample.ResizedImage:
    """Crops the center of the image.

    Args:
      image: float image in [0, 1], or a padded image.
      size: output (height, width), or one number for a square.
      proportion: None crops the central ``size`` pixels without resizing. A number in
        (0, 1] crops the central region with the output's aspect ratio that keeps this
        share of the less cropped side, and resizes it; SimCLR evaluates with 0.875.
      method: ``"bilinear"`` or ``"bicubic"``, for the resize.
      antialias: see ``resample.resample_weights``, for the resize.

    Returns:
      The image of shape [out_h, out_w, c] in [0, 1]. A padded image that is smaller
      than the crop cannot be rejected, because its size is known only on the device;
      its largest central region with the output's aspect ratio is enlarged instead.

    Raises:
      UserError: if the image (not padded) is smaller than the crop, or an option is not
        valid.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax.augment import ops
      >>> ops.center_crop(jnp.ones((28, 31, 1)), size=24).shape
      (24, 24, 1)
    """
    out = resample.size_pair("size", size)
    if proportion is not None:
        _check_proportion(proportion)
    if isinstance(image, types.PaddedImages):
        sides = _sides_if_padded(image, out, proportion)
        return _center_of_padded(image, sides, out, method, antialias)
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


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class FitToSize(transform.Transform):
    """Fits an image to a size without randomness; see ``recipes.evaluation``.

    Accepts padded images. An image that already has the size is returned unchanged.

    Attributes:
      size: output (height, width) in pixels, or one number for a square.
      fit: ``"proportion"``, ``"crop"`` or ``"resize"``.
      proportion: of the less cropped side that is kept.
      method: ``"bilinear"`` or ``"bicubic"``.
      antialias: see ``resample.resample_weights``.

    Raises:
      UserError: if an option is not valid; on a call if ``fit`` is "crop" and the image
        (not padded) is smaller than the crop.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax.augment import ops
      >>> fit = ops.FitToSize(size=24, fit="resize")
      >>> fit(jax.random.key(0), jnp.ones((28, 31, 1))).shape
      (24, 24, 1)
    """

    size: resample.Size
    fit: str
    proportion: float = 0.875
    method: str = "bicubic"
    antialias: bool = False

    label: ClassVar[str] = "fit"

    def __post_init__(self) -> None:
        """Checks the options and converts the size to (height, width)."""
        object.__setattr__(self, "size", resample.size_pair("size", self.size))
        if self.fit not in ("proportion", "crop", "resize"):
            raise errors.UserError(
                f"fit must be 'proportion', 'crop' or 'resize'; got {self.fit!r}."
            )
        registry.lookup("resampling method", self.method, kernels.KERNELS)
        if self.fit == "proportion":
            _check_proportion(self.proportion)

    def sample(self, key: types.PRNGKey, image: Any, /) -> tuple[()]:
        """Returns no parameters; the key is not used."""
        del key, image
        return ()

    def apply(
        self, params: tuple[()], image: types.Image | types.PaddedImages, /
    ) -> resample.ResizedImage:
        """Returns the image of shape [out_h, out_w, c] in [0, 1]."""
        del params
        out = resample.size_pair("size", self.size)
        options = {"method": self.method, "antialias": self.antialias}
        if not isinstance(image, types.PaddedImages) and image.shape[:2] == out:
            return image
        if self.fit == "resize":
            resized = resample.resize(image, size=out, **options)
            return jnp.clip(resized, 0.0, 1.0)
        if self.fit == "crop" or not isinstance(image, types.PaddedImages):
            kept = None if self.fit == "crop" else self.proportion
            return center_crop(image, size=out, proportion=kept, **options)
        sides = _sides_if_padded(image, out, self.proportion)
        # A padded image that has the size is returned unchanged too.
        has_size = jnp.all(image.size == jnp.asarray(out, jnp.int32))
        sides = jnp.where(has_size, image.size.astype(jnp.int32), sides)
        return _center_of_padded(image, sides, out, **options)

    def accepts_padded(self) -> bool:
        """Returns True."""
        return True


def _check_proportion(proportion):
    checks.check_positive("proportion", proportion)
    checks.check_in_range("proportion", proportion, low=0.0, high=1.0)


def _sides_kept(size, out, proportion):
    """Returns the crop's (height, width) as limited by the height and by the width.

    The crop is the elementwise minimum of the two. ``size`` may hold arrays.
    """
    height, width = (np.asarray(side, np.float64) for side in size)
    ratio = out[1] / out[0]
    by_height = np.stack([height, height * ratio], axis=-1)
    by_width = np.stack([width / ratio, width], axis=-1)
    return (
        np.maximum(1, np.rint(proportion * allowed)).astype(np.int32)
        for allowed in (by_height, by_width)
    )


def _sides_if_padded(image, out, proportion):
    """Returns the crop's height and width in a padded image, traced.

    The two tables hold every possible size. They are computed in float64, like the
    numbers of a plain image, so that both round the same way.
    """
    sizes = (np.arange(1 + side) for side in image.pixels.shape[:2])
    tables = _sides_kept(tuple(sizes), out, 1.0 if proportion is None else proportion)
    by_height, by_width = (
        jnp.asarray(table)[side] for table, side in zip(tables, image.size, strict=True)
    )
    sides = jnp.minimum(by_height, by_width)
    if proportion is not None:
        return sides
    crop = jnp.asarray(out, jnp.int32)
    return jnp.where(jnp.all(image.size >= crop), crop, sides)


def _center_of_padded(image, sides, out, method, antialias):
    """Resizes the central box, reading nothing outside it, as if it were cut out."""
    starts = (image.size - sides.astype(image.size.dtype) + 1) // 2
    pixels, _, _ = padded.unpack(image)
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
