"""Resizing as two small matrix products, one per axis.

Each output row is a weighted sum of input rows, so a resize is ``rows @ image`` along
the height and ``columns @ image`` along the width. The weights are built from where
the sampled box begins and how long it is, both of which may be traced: shapes stay
fixed, nothing is gathered, and a batch of different boxes is one batched product that
runs on matrix units and is partitioned like any other.

Pixel centers lie at half-integers (``align_corners=False``); weights that would fall
outside the image are dropped and the rest renormalized, as Pillow does, so a constant
image stays constant.

A CPU has no matrix units. Of a large image it gathers the few pixels that count, in
place of the products, for the same result; see ``taps``.
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
"""Pixels of an image from which a CPU does not work with matrices."""

ResizedImage = Float[Array, "out_h out_w c"]


def size_pair(name: str, size: Size) -> tuple[int, int]:
    """Returns ``size`` as (height, width).

    Args:
      name: what to call the size in an error.
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
      start: where the box begins, in pixels from the outer edge of the first pixel.
      length: how long the box is, in pixels. The box may have fractions of pixels.
      in_size: pixels of the input along this axis.
      out_size: pixels of the output along this axis.
      method: ``"bilinear"`` (triangle) or ``"bicubic"`` (Keys, a = -1/2).
      antialias: widens the kernel by the shrinking factor, so that every pixel of the
        box counts. Without it a shrunk image is sampled at points, as TensorFlow's
        default does.
      valid: the pixels that may be read, from the first to one past the last; None
        means all. The weights of the others are zero, exactly, so their values (if
        finite) cannot show. The box must lie inside.
      mirrored: samples from the end of the box to its start; may be traced. A mirrored
        row of weights reads the same pixels, so this costs nothing.

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
    """Resamples both axes: by matrix products, on a CPU by gathering what they read.

    Args:
      image: any float image.
      rows: what is sampled along the height.
      columns: what is sampled along the width.
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
    """Returns what ``resample`` returns, by two dense matrix products."""
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

    The products of a float32 image run at the highest precision: in bfloat16 the views
    would differ between a TPU and a CPU by more than the 8 bits of the stored image.
    Those of a bfloat16 image take bfloat16 operands and add in float32.

    Args:
      image: any float image.
      rows: float32 weights along the height.
      columns: float32 weights along the width.

    Returns:
      The image of shape [out_h, out_w, c] in float32, whatever the image's dtype, for
      the caller to scale or clip before it rounds.
    """
    is_full = image.dtype == jnp.float32
    precision = jax.lax.Precision.HIGHEST if is_full else jax.lax.Precision.DEFAULT

    def product(axes: str, one: jax.Array, other: jax.Array) -> jax.Array:
        one, other = one.astype(image.dtype), other.astype(image.dtype)
        return jnp.einsum(
            axes, one, other, precision=precision, preferred_element_type=jnp.float32
        )

    # [h c w] keeps the contracted axis last and then first: neither product needs
    # its operands transposed.
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
      image: float image or a canvas; bicubic overshoots its range by up to 10%, so clip
        if it matters.
      size: output (height, width), or one number for a square.
      method: ``"bilinear"`` or ``"bicubic"``.
      antialias: see ``resample_weights``.

    Returns:
      The image of shape [out_h, out_w, c].

    Raises:
      UserError: if ``size`` or ``method`` is not valid.
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
