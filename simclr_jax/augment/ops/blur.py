"""Gaussian blur with renormalized borders, deterministic and random."""

import dataclasses
import functools
from typing import Any, ClassVar, NamedTuple, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from simclr_jax.augment import planes, transform
from simclr_jax.augment.resizing import resample
from simclr_jax.core import checks, errors, types


def default_kernel_size(height: int) -> int:
    """Returns the kernel size of SimCLR's blur: a tenth of the height, made odd.

    Args:
      height: of the image in pixels.

    Returns:
      ``2 r + 1`` with ``r = (height // 10) // 2``: 23 for 224 pixels, 3 for 32.

    Example:
      >>> from simclr_jax.augment import ops
      >>> ops.default_kernel_size(224)
      23
    """
    return 2 * (height // 10 // 2) + 1


def gaussian_blur(
    image: types.Image,
    *,
    sigma: resample.Number,
    kernel_size: int | None = None,
    parity: bool = False,
) -> types.Image:
    """Convolves the image with a truncated Gaussian along both axes.

    At the border the weights inside the image are renormalized, so a constant image
    stays constant.

    Args:
      image: float image.
      sigma: standard deviation in pixels, > 0; may be traced.
      kernel_size: odd number of taps; None means ``default_kernel_size(height)``.
      parity: pads with zeros instead of renormalizing, as the original code does. This
        darkens the border: a constant 1 becomes 0.60 on an edge and 0.36 in a corner
        for a sigma of 2 and 23 taps.

    Returns:
      The blurred image, of the image's dtype; values stay within its range (with
      ``parity`` between zero and its largest).

    Raises:
      UserError: if ``kernel_size`` is even or not positive.

    References:
      Chen et al., 2020, appendix A. https://arxiv.org/abs/2002.05709

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax.augment import ops
      >>> ops.gaussian_blur(jnp.ones((9, 9, 1)), sigma=1.0, kernel_size=3).shape
      (9, 9, 1)
    """
    if kernel_size is None:
        kernel_size = default_kernel_size(image.shape[0])
    _check_kernel_size(kernel_size)
    if kernel_size == 1:
        return image
    options = {"radius": kernel_size // 2, "parity": parity}
    blurred = jax.lax.platform_dependent(
        image,
        jnp.float32(sigma),
        cpu=functools.partial(blur_by_shifts, **options),
        default=functools.partial(blur_by_matrices, **options),
    )
    return blurred.astype(image.dtype)


def blur_by_matrices(
    image: types.Image, sigma: resample.Number, *, radius: int, parity: bool
) -> Float[Array, "h w c"]:
    """Blurs by two products with band matrices, in float32: for matrix units."""
    rows, columns = (
        _blur_matrix(length, sigma, radius, parity) for length in image.shape[:2]
    )
    return resample.apply_along_axes(image, rows, columns)


def blur_by_shifts(
    image: types.Image, sigma: resample.Number, *, radius: int, parity: bool
) -> Float[Array, "h w c"]:
    """Blurs by sums of shifted planes, in float32: skips the zeros of a matrix."""
    height, width, _ = image.shape
    weights = _taps(sigma, radius)

    def along(padded, axis, length):
        shifted = (
            weights[tap] * jax.lax.slice_in_dim(padded, tap, tap + length, axis=axis)
            for tap in range(2 * radius + 1)
        )
        return functools.reduce(jnp.add, shifted)

    def total(length):
        return along(jnp.pad(jnp.ones(length), radius), 0, length)

    norm = total(height)[:, None] * total(width)[None, :]
    if parity:
        norm = jnp.square(jnp.sum(weights))

    def blur_band(band):
        padded = jnp.pad(band.astype(jnp.float32), radius)
        return along(along(padded, 0, height), 1, width) / norm

    def blur_all(*bands):
        # A loop, because XLA on a CPU would otherwise fuse the operations that produce
        # the image and evaluate them once for every tap.
        return tuple(jax.lax.map(blur_band, jnp.stack(bands)))

    keep = lambda *bands: tuple(band.astype(jnp.float32) for band in bands)
    bands = planes.split(image)
    is_kept = sigma <= _IDENTITY_SIGMA
    return jnp.stack(jax.lax.cond(is_kept, keep, blur_all, *bands), axis=-1)


class BlurParams(NamedTuple):
    """Parameters of ``RandomGaussianBlur``; the standard deviation is in pixels."""

    blur_sigma: Float[Array, ""]
    blurred: Bool[Array, ""]


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomGaussianBlur(transform.Transform):
    """Blurs with a random width, with a given probability.

    Every image has its own width; the original draws one for each view of a batch.

    Attributes:
      sigma: smallest and largest standard deviation in pixels; uniform between.
      kernel_size: odd number of taps; None means ``default_kernel_size(height)``.
      probability: of a blur, in [0, 1].
      parity: darkens the border as the original does; see ``gaussian_blur``.

    Raises:
      UserError: if an option is not valid.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> blur = augment.RandomGaussianBlur(sigma=(0.1, 2.0), probability=0.5)
      >>> blur(jax.random.key(0), jnp.ones((32, 32, 3))).shape
      (32, 32, 3)
    """

    sigma: tuple[float, float] = (0.1, 2.0)
    kernel_size: int | None = None
    probability: float = 1.0
    parity: bool = False

    label: ClassVar[str] = "blur"

    def __post_init__(self) -> None:
        """Checks the options."""
        checks.check_interval("sigma", self.sigma, low=0.0, high=float("inf"))
        checks.check_positive("sigma", self.sigma[0])
        checks.check_in_range("probability", self.probability, low=0.0, high=1.0)
        if self.kernel_size is not None:
            _check_kernel_size(self.kernel_size)

    def sample(self, key: types.PRNGKey, image: Any, /) -> BlurParams:
        """Samples the standard deviation and whether the image is blurred."""
        del image
        draws = jax.random.uniform(key, (2,))
        low, high = self.sigma
        return BlurParams(
            blur_sigma=low + (high - low) * draws[0],
            blurred=draws[1] < self.probability,
        )

    def apply(self, params: BlurParams, image: types.Image, /) -> types.Image:
        """Returns the blurred image or the image, clipped to [0, 1]."""
        # A tiny width makes the kernel a single tap, so no selection between the image
        # and its blur is needed where both are evaluated.
        width = jnp.where(params.blurred, params.blur_sigma, _IDENTITY_SIGMA)
        options = {"kernel_size": self.kernel_size, "parity": self.parity}
        blurred = gaussian_blur(image, sigma=width, **options)
        return planes.map_planes(lambda band: jnp.clip(band, 0.0, 1.0), blurred)


def _check_kernel_size(kernel_size):
    checks.check_positive_int("kernel_size", kernel_size)
    if kernel_size % 2 == 0:
        raise errors.UserError(
            "kernel_size must be odd, so that the kernel has a center; "
            f"got {kernel_size}."
        )


_IDENTITY_SIGMA = 0.05
"""exp(-1 / (2 * 0.05 ** 2)) is 1e-87: zero in float32."""


def _blur_matrix(length, sigma, radius, parity):
    """Weights [length, length]: a band of 2 radius + 1 taps.

    Rows sum to one; with ``parity`` only those whose taps all lie inside the image.
    """
    positions = jnp.arange(length, dtype=jnp.float32)
    distance = jnp.abs(positions[:, None] - positions[None, :])
    taps = jnp.exp(-0.5 * jnp.square(distance / sigma))
    taps = jnp.where(distance <= radius, taps, 0.0)
    if parity:
        return taps / jnp.sum(_taps(sigma, radius))
    return taps / jnp.sum(taps, axis=1, keepdims=True)


def _taps(sigma, radius):
    offsets = jnp.arange(-radius, radius + 1, dtype=jnp.float32)
    return jnp.exp(-0.5 * jnp.square(offsets / sigma))
