"""Convolution and 2 x 2 max-pooling with gradients that are fast on CPUs.

On GPU and TPU ``conv2d`` is XLA's native operation, forward and backward. On CPU the
forward pass and the input gradient are native as well, but not the weight gradient:
XLA turns it into one convolution that contracts over the whole batch, and runs that of
a small network on one core. There it is computed

* in pieces of about ``_PIECE_PIXELS`` pixels, which stay in the cache and run on all
  cores, and summed: 1.4 to 5 times faster at 32 to 64 channels, no slower at 256;
* or, for the first layer and 1 x 1 kernels, as one matrix product of the patches with
  the gradient: about 5 times faster.

All forms agree up to float32 rounding. The platform is selected when the program is
lowered (``jax.lax.platform_dependent``), so a program compiled for TPU on a CPU host
uses the native operations.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simclr_jax.core import checks, errors

Pads = tuple[tuple[int, int], tuple[int, int]]
Padding = str | Sequence[Sequence[int]]

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")

_PIECE_PIXELS = 2304
"""Output pixels in one piece of the weight gradient; 1,000 to 5,000 are as fast."""

_MAX_PIECES = 32
"""Limits the size of the program, to which every piece adds one operation."""

_MAX_PATCH_SIZE = 64
"""Largest kh * kw * c for which patches are written out; 1 x 1 kernels need none."""


def conv2d(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "kh kw in_c d"],
    *,
    strides: tuple[int, int] = (1, 1),
    padding: Padding = "SAME",
) -> Float[Array, "b h2 w2 d"]:
    """Convolves images with a kernel, as ``jax.lax.conv_general_dilated`` does.

    Accumulates in float32. Differentiable in reverse mode only (no ``jax.jvp``). The
    batch may be sharded over a mesh.

    Args:
      x: images, shape [b, h, w, c].
      kernel: shape [kh, kw, c, d], the dtype of ``x``.
      strides: steps between windows along (rows, columns).
      padding: "SAME", "VALID", or ((top, bottom), (left, right)) in pixels.

    Returns:
      Shape [b, h2, w2, d], the dtype of ``x``.

    Raises:
      UserError: if a rank, the channels or the padding do not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import nn
      >>> x, kernel = jnp.ones((1, 8, 8, 3)), jnp.ones((3, 3, 3, 4))
      >>> nn.conv2d(x, kernel, strides=(2, 2)).shape
      (1, 4, 4, 4)
    """
    checks.check_rank("x", x, 4, shape="b h w c")
    checks.check_rank("kernel", kernel, 4, shape="kh kw c d")
    if x.shape[3] != kernel.shape[2]:
        raise errors.UserError(
            "conv2d needs a kernel [kh kw c d] with the channels c of the images; got "
            f"images {tuple(x.shape)} and kernel {tuple(kernel.shape)}."
        )
    strides = (int(strides[0]), int(strides[1]))
    pads = _explicit_padding(x.shape[1:3], kernel.shape[:2], strides, padding)
    return _conv(strides, pads, x, kernel)


def max_pool_2x2(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Computes the maximum of every 2 x 2 block of pixels.

    Pixels of a block that tie share the gradient: half of it for each of two, a quarter
    for each of four. (XLA's select-and-scatter gives all of it to the first.)

    Args:
      x: images, shape [b, h, w, c], with even h and w.

    Returns:
      Shape [b, h / 2, w / 2, c], the dtype of ``x``.

    Raises:
      UserError: if the rank is not 4, or h or w is odd.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import nn
      >>> nn.max_pool_2x2(jnp.ones((1, 8, 8, 3))).shape
      (1, 4, 4, 3)
    """
    checks.check_rank("x", x, 4, shape="b h w c")
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise errors.UserError(
            "max_pool_2x2 needs an even height and width; got images "
            f"{tuple(x.shape)}. Crop or pad them by one pixel."
        )
    rows = jnp.maximum(x[:, 0::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, 0::2], rows[:, :, 1::2])


def _explicit_padding(image_size, kernel_size, strides, padding: Padding) -> Pads:
    """Returns ((top, bottom), (left, right)) in pixels."""
    if isinstance(padding, str):
        if padding not in ("SAME", "VALID"):
            raise errors.UserError(
                'padding must be "SAME", "VALID" or ((top, bottom), (left, right)); '
                f"got {padding!r}."
            )
        padding = jax.lax.padtype_to_pads(image_size, kernel_size, strides, padding)
    if [len(pair) for pair in padding] != [2, 2]:
        raise errors.UserError(f"padding must be two pairs of pixels; got {padding!r}.")
    (top, bottom), (left, right) = padding
    return (int(top), int(bottom)), (int(left), int(right))


def _native(strides, pads, x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, strides, pads, dimension_numbers=_DIMENSIONS
    )


def _conv_forward(strides, pads, x, kernel):
    return _native(strides, pads, x, kernel), (x, kernel)


def _conv_backward(strides, pads, residuals, g):
    x, kernel = residuals
    forward = lambda x: _native(strides, pads, x, kernel)

    def native_gradient(x, g):
        like = jax.ShapeDtypeStruct(kernel.shape, x.dtype)
        native = functools.partial(_native, strides, pads, x)
        return jax.linear_transpose(native, like)(g)[0]

    def cpu_gradient(x, g):
        x, g = _widen(x), _widen(g)
        kh, kw, c, _ = kernel.shape
        if kh * kw == 1 or kh * kw * c <= _MAX_PATCH_SIZE:
            total = _patch_gradient(x, g, kernel.shape, strides, pads)
        else:
            total = _piecewise_gradient(native_gradient, x, g)
        return total.astype(kernel.dtype)

    weight_gradient = jax.lax.platform_dependent(
        x, g, cpu=cpu_gradient, default=native_gradient
    )
    return jax.linear_transpose(forward, x)(g)[0], weight_gradient


_conv = jax.custom_vjp(_native, nondiff_argnums=(0, 1))
_conv.defvjp(_conv_forward, _conv_backward)


def _patch_gradient(x, g, kernel_shape, strides, pads):
    """Returns patches^T g, with one row per output pixel (exact for 1 x 1 kernels)."""
    kh, kw, c, d = kernel_shape
    _, h2, w2, _ = g.shape
    margins = ((0, 0, 0), (*pads[0], 0), (*pads[1], 0), (0, 0, 0))
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), margins)
    rows = [slice(i, i + strides[0] * (h2 - 1) + 1, strides[0]) for i in range(kh)]
    columns = [slice(j, j + strides[1] * (w2 - 1) + 1, strides[1]) for j in range(kw)]
    patches = jnp.concatenate([x[:, i, j] for i in rows for j in columns], axis=-1)
    # Flattened, since XLA on a CPU transposes g to sum over three axes.
    product = patches.reshape(-1, kh * kw * c).T @ g.reshape(-1, d)
    return product.reshape(kernel_shape)


def _piecewise_gradient(gradient, x, g):
    """Sums the weight gradients of pieces of the batch."""
    b, h2, w2, _ = g.shape
    wanted = min(_MAX_PIECES, b * h2 * w2 // _PIECE_PIXELS)
    count = next((n for n in range(wanted, 0, -1) if b % n == 0), 1)
    if count == 1:
        return gradient(x, g)
    # Piece i is every count-th image, so that a sharded batch is not moved.
    x, g = (a.reshape(b // count, count, *a.shape[1:]) for a in (x, g))
    pieces = [gradient(x[:, i], g[:, i]) for i in range(count)]
    return functools.reduce(jnp.add, pieces)


def _widen(x):
    return x if x.dtype.itemsize >= 4 else x.astype(jnp.float32)
