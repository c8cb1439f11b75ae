"""Resampling by gathering the few pixels that a kernel reaches, for CPUs.

A matrix of weights consists mostly of zeros, which a CPU multiplies too: an axis of 288
pixels takes 288 multiplications, whereas a cubic kernel has four taps. Accelerators use
matrix products instead; ``resample.resample`` chooses.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simclr_jax.augment import planes
from simclr_jax.augment.resizing import kernels
from simclr_jax.core import types


def resample_by_taps(
    image: types.Image,
    rows: kernels.Span,
    columns: kernels.Span,
    *,
    size: tuple[int, int],
    method: str,
    antialias: bool,
) -> Float[Array, "out_h out_w c"]:
    """Resamples both axes by gathering; same result as ``resample_by_matrices``.

    Args:
      image: any float image.
      rows: along the height.
      columns: along the width.
      size: output (height, width).
      method: a key of ``kernels.KERNELS``.
      antialias: whether a kernel widens by the shrinking factor.

    Returns:
      The float32 image of shape [out_h, out_w, c].
    """
    (height, width, channels), (out_h, out_w) = image.shape, size
    options = {"method": method, "antialias": antialias}
    lines = image.reshape(height, width * channels)
    lines = _resample_lines(lines, rows, out_size=out_h, **options)
    bands = planes.split(lines.reshape(out_h, width, channels))
    # Transposed, so that whole lines are gathered along this axis too.
    bands = [_resample_lines(x.T, columns, out_size=out_w, **options).T for x in bands]
    return jnp.stack(bands, axis=-1)


def num_taps(*, in_size: int, out_size: int, method: str, antialias: bool) -> int:
    """Returns the largest number of pixels that an output pixel depends on."""
    widening = max(in_size / out_size, 1.0) if antialias else 1.0
    return math.ceil(2.0 * kernels.SUPPORTS[method] * widening) + (widening > 1.0)


def _resample_lines(lines, span, *, out_size, method, antialias):
    """Resamples the first axis of [n, m] to ``out_size`` weighted sums of lines."""
    in_size, length = lines.shape
    options = {"out_size": out_size, "antialias": antialias}
    taps = num_taps(in_size=in_size, method=method, **options)
    centers, widening = kernels.place(span, **options)
    first = jnp.ceil(centers - 0.5 - kernels.SUPPORTS[method] * widening)
    pixels = first[None, :] + jnp.arange(taps, dtype=jnp.float32)[:, None]
    distance = jnp.abs(pixels + 0.5 - centers[None, :]) / widening
    weights = kernels.KERNELS[method](distance)
    begin, end = span.valid
    is_valid = (pixels + 0.5 > begin) & (pixels + 0.5 < end)
    weights = jnp.where(is_valid, weights, 0.0)
    weights = weights / jnp.sum(weights, axis=0, keepdims=True)
    indices = jnp.clip(pixels.astype(jnp.int32), 0, in_size - 1)

    def add(tap, total):
        taken = lines.at[indices[tap]].get(mode="promise_in_bounds")
        return total + weights[tap][:, None] * taken.astype(jnp.float32)

    # A loop, because XLA on a CPU would otherwise fuse the sum with the transposition
    # that follows, and neither would be vectorized.
    return jax.lax.fori_loop(0, taps, add, jnp.zeros((out_size, length)))
