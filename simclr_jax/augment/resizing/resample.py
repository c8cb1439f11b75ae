"""Resizing by two small matrix products, one for each axis.

Each output row is a weighted sum of input rows, so a resize is ``rows @ image`` along
the height and ``columns @ image`` along the width. The weights depend on the start and
the length of the sampled box, both of which may be traced: shapes are fixed, nothing is
gathered, and a batch of different boxes is one batched product, which runs on matrix
units and is partitioned like any other.

Pixel centers lie at half-integers (``align_corners=False``). Weights outside the image
are set to zero and the others renormalized, as in Pillow, so a constant image stays
constant.

CPUs have no matrix units: for large images they gather the pixels with nonzero weights
instead, with the same result; see ``taps``.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from simclr_jax.augment import padded
from simclr_jax.augment.resizing import kernels, taps
from simclr_jax.core import checks, errors, registry, types

Size = int | tuple[int, ...] | list[int]
"""Height and width in pixels; one number means a square."""

Number = kernels.Number
"""A Python number or a traced float scalar."""

LARGE = 65 * 65
"""Number of pixels from which a CPU gathers instead of multiplying matrices."""

ResizedImage = Float[Array, "out_h out_w c"]


def size_pair(name: str, size: Size) -> tuple[int, int]:
    """Returns ``size`` as (height, width).

    Args:
      name: of the option, for the error message.
      size: one number for a square, or (height, width).

    Returns:
      Height and width in pixels.

    Raises:
      UserError: if it is not one or two whole numbers of at least one.
    """
    pair = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(pair) != 2:
        raise errors.UserError(
            f"{name} must be one number or (height, width); got {size!r}."
        )
    for value in pair:
        checks.check_positive_int(name, value)
    return pair


def resample_weights(
    *,
    start: Number,
    length: Number,
    in_size: int,
    out_size: int,
    method: str = "bilinear",
    antialias: bool = True,
    valid: tuple[Number, Number] | None = None,
    mirrored: bool | Bool[Array, ""] = False,
) -> Float[Array, "{out_size} {in_size}"]:
    """Builds the matrix that resamples one axis from a box to ``out_size`` pixels.

    Args:
      start: of the box, in pixels from the outer edge of the first pixel; may have a
        fraction.
      length: of the box in pixels; may have a fraction.
      in_size: pixels of the input along this axis.
      out_size: pixels of the output along this axis.
      method: ``"bilinear"`` (triangle) or ``"bicubic"`` (Keys, a = -1/2).
      antialias: widens the kernel by the reduction factor, so that every pixel of the
        box contributes. Without it a reduced image is sampled at points, as
        TensorFlow does by default.
      valid: the pixels that may be read, from the first to one past the last; None
        means all. The weights of the others are exactly zero, so their values (if
        finite) have no effect. The box must lie inside.
      mirrored: samples from the end of the box to its start; may be traced. This has no
        cost, because a mirrored row of weights reads the same pixels.

    Returns:
      Float32 weights [out, in]; every row sums to one.

    Raises:
      UserError: if ``method`` is unknown.

    References:
      Keys, "Cubic convolution interpolation for digital image processing", 1981.
    """
    kernel = registry.lookup("resampling method", method, kernels.KERNELS)
    begin, end = (0.0, float(in_size)) if valid is None else valid
    span = kernels.Span(start, length, (begin, end), mirrored)
    centers, widening = kernels.place(span, out_size=out_size, antialias=antialias)
    pixels = jnp.arange(in_size, dtype=jnp.float32) + 0.5
    weights = kernel(jnp.abs(pixels[None, :] - centers[:, None]) / widening)
    weights = jnp.where((pixels > begin) & (pixels < end), weights, 0.0)
    return weights / jnp.sum(weights, axis=1, keepdims=True)


def resample(
    image: types.Image,
    rows: kernels.Span,
    columns: kernels.Span,
    *,
    size: Size,
    method: str = "bilinear",
    antialias: bool = True,
) -> ResizedImage:
    """Resamples both axes: by matrix products, or by gathering on a CPU.

    Args:
      image: any float image.
      rows: interval sampled along the height.
      columns: interval sampled along the width.
      size: output (height, width), or one number for a square.
      method: see ``resample_weights``.
      antialias: see ``resample_weights``.

    Returns:
      The image of shape [out_h, out_w, c] in float32, whatever the image's dtype.

    Raises:
      UserError: if ``size`` or ``method`` is not valid.
    """
    registry.lookup("resampling method", method, kernels.KERNELS)
    options = {
        "size": size_pair("size", size),
        "method": method,
        "antialias": antialias,
    }
    by_matrices = functools.partial(resample_by_matrices, **options)
    if image.shape[0] * image.shape[1] < LARGE:
        return by_matrices(image, rows, columns)
    return jax.lax.platform_dependent(
        image,
        *(jax.tree.map(jnp.asarray, span) for span in (rows, columns)),
        cpu=functools.partial(taps.resample_by_taps, **options),
        default=by_matrices,
    )


def resample_by_matrices(
    image: types.Image,
    rows: kernels.Span,
    columns: kernels.Span,
    *,
    size: tuple[int, int],
    method: str,
    antialias: bool,
) -> ResizedImage:
    """Resamples both axes by two dense matrix products; see ``resample``."""
    matrices = (
        resample_weights(
            **span._asdict(),
            in_size=in_size,
            out_size=out_size,
            method=method,
            antialias=antialias,
        )
        for span, in_size, out_size in zip(
            (rows, columns), image.shape[:2], size, strict=True
        )
    )
    return apply_along_axes(image, *matrices)


def apply_along_axes(
    image: types.Image,
    rows: Float[Array, "out_h h"],
    columns: Float[Array, "out_w w"],
) -> ResizedImage:
    """Multiplies the image by one matrix along its height and one along its width.

    For a float32 image the products have the highest precision: in bfloat16 the views
    would differ between a TPU and a CPU by more than the 8 bits of the stored image.
    For a bfloat16 image they take bfloat16 operands and add in float32.

    Args:
      image: any float image.
      rows: float32 weights along the height.
      columns: float32 weights along the width.

    Returns:
      The image of shape [out_h, out_w, c] in float32, whatever the image's dtype, so
      that the caller can scale or clip before rounding.
    """
    is_full = image.dtype == jnp.float32
    precision = jax.lax.Precision.HIGHEST if is_full else jax.lax.Precision.DEFAULT

    def product(axes: str, one: jax.Array, other: jax.Array) -> jax.Array:
        one, other = one.astype(image.dtype), other.astype(image.dtype)
        return jnp.einsum(
            axes, one, other, precision=precision, preferred_element_type=jnp.float32
        )

    # With [h c w] the contracted axis comes last and then first, so neither product
    # needs its operands transposed.
    wide = product("hcw,pw->hcp", jnp.swapaxes(image, 1, 2), columns)
    return jnp.swapaxes(product("oh,hcp->ocp", rows, wide), 1, 2)


def resize(
    image: types.Image | types.PaddedImages,
    *,
    size: Size,
    method: str = "bilinear",
    antialias: bool = True,
) -> ResizedImage:
    """Resizes the whole image.

    Args:
      image: float image or a padded image. Bicubic overshoots its range by up to 10%;
        clip if it matters.
      size: output (height, width), or one number for a square.
      method: ``"bilinear"`` or ``"bicubic"``.
      antialias: see ``resample_weights``.

    Returns:
      The image of shape [out_h, out_w, c].

    Raises:
      UserError: if ``size`` or ``method`` is not valid.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax.augment import ops
      >>> ops.resize(jnp.ones((28, 31, 3)), size=(14, 16)).shape
      (14, 16, 3)
    """
    out_h, out_w = size_pair("size", size)
    pixels, height, width = padded.unpack(image)
    if not isinstance(image, types.PaddedImages) and (out_h, out_w) == image.shape[:2]:
        return image
    spans = (
        kernels.Span(0.0, length, valid=(0.0, length)) for length in (height, width)
    )
    options = {"size": (out_h, out_w), "method": method, "antialias": antialias}
    return resample(pixels, *spans, **options).astype(pixels.dtype)
