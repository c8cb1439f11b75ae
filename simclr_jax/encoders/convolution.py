"""Convolution and pooling that are fast on CPUs too. Pure functions of arrays.

On GPU and TPU ``conv2d`` is XLA's native operation, forward and backward. XLA's CPU
backend computes the weight gradient of a small convolution several times slower than
the forward pass, and the gradient of max-pooling slower still. There the weight
gradient is a sum of matrix products over shifted inputs, and pooling is a maximum of
four strided slices. The numbers are the same to float32 rounding.

The platform is chosen when the program is lowered (``jax.lax.platform_dependent``), so
a program compiled for TPU on a CPU host has the native operations in it.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simclr_jax.core import checks, errors

Pads = tuple[tuple[int, int], tuple[int, int]]
Padding = str | Sequence[tuple[int, int]]

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv2d(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "kh kw c d"],
    *,
    strides: tuple[int, int] = (1, 1),
    padding: Padding = "SAME",
) -> Float[Array, "b h2 w2 d"]:
    """Convolves images with a kernel, as ``jax.lax.conv_general_dilated`` does.

    Products are accumulated in float32; the result has the dtype of ``x``. The
    gradient is defined for reverse mode (``jax.grad``, ``jax.vjp``).

    Args:
      x: images, shape [b, h, w, c].
      kernel: shape [kh, kw, c, d]; the same dtype as ``x``.
      strides: steps between windows, (rows, columns).
      padding: "SAME", "VALID", or ((top, bottom), (left, right)) in pixels.

    Returns:
      Shape [b, h2, w2, d], the dtype of ``x``.

    Raises:
      UserError: if a rank, the number of channels or the padding is wrong.
    """
    checks.check_rank("x", x, 4, shape="b h w c")
    checks.check_rank("kernel", kernel, 4, shape="kh kw c d")
    if x.shape[3] != kernel.shape[2]:
        raise errors.UserError(
            f"conv2d needs as many kernel input channels as image channels; got x "
            f"{tuple(x.shape)} and kernel {tuple(kernel.shape)}."
        )
    pads = _explicit_padding(x.shape, kernel.shape, tuple(strides), padding)
    return _conv(x, kernel, tuple(strides), pads)


def max_pool_2x2(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Takes the maximum of every 2 x 2 block of pixels.

    Args:
      x: images, shape [b, h, w, c], with even h and w.

    Returns:
      Shape [b, h / 2, w / 2, c], the dtype of ``x``.

    Raises:
      UserError: if the rank is not 4, or h or w is odd.
    """
    checks.check_rank("x", x, 4, shape="b h w c")
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise errors.UserError(
            f"max_pool_2x2 needs an even height and width; got {tuple(x.shape)}. "
            f"Resize or pad the images."
        )
    rows = jnp.maximum(x[:, 0::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, 0::2], rows[:, :, 1::2])


def _explicit_padding(x_shape, kernel_shape, strides, padding) -> Pads:
    if isinstance(padding, str):
        if padding not in ("SAME", "VALID"):
            raise errors.UserError(
                f'padding must be "SAME", "VALID" or ((top, bottom), (left, right)); '
                f"got {padding!r}."
            )
        pads = jax.lax.padtype_to_pads(
            x_shape[1:3], kernel_shape[:2], strides, padding
        )
    else:
        pads = padding
    return tuple((int(low), int(high)) for low, high in pads)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv(x, kernel, strides, pads):
    return _native(x, kernel, strides, pads)


def _conv_forward(x, kernel, strides, pads):
    return _native(x, kernel, strides, pads), (x, kernel)


def _conv_backward(strides, pads, residuals, g):
    x, kernel = residuals
    _, transpose_x = jax.vjp(lambda x: _native(x, kernel, strides, pads), x)
    shape = kernel.shape

    def native_weights(x, g):
        zeros = jnp.zeros(shape, x.dtype)
        return jax.vjp(lambda k: _native(x, k, strides, pads), zeros)[1](g)[0]

    def cpu_weights(x, g):
        return _weight_gradient(x, g, shape, pads)

    if strides == (1, 1):
        dk = jax.lax.platform_dependent(x, g, cpu=cpu_weights, default=native_weights)
    else:
        dk = native_weights(x, g)
    return transpose_x(g)[0], dk.astype(kernel.dtype)


_conv.defvjp(_conv_forward, _conv_backward)


def _native(x, kernel, strides, pads):
    return jax.lax.conv_general_dilated(
        x, kernel, strides, pads, dimension_numbers=_DIMENSIONS
    )


def _weight_gradient(x, g, kernel_shape, pads):
    kh, kw, c, d = kernel_shape
    _, h2, w2, _ = g.shape
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (*pads[0], 0), (*pads[1], 0), (0, 0, 0)))
    wide = jnp.concatenate([x[:, :, j : j + w2] for j in range(kw)], axis=-1)
    rows = [
        jnp.einsum(
            "bhwi,bhwo->io",
            wide[:, i : i + h2],
            g,
            preferred_element_type=jnp.float32,
        )
        for i in range(kh)
    ]
    return jnp.stack(rows).reshape(kh, kw, c, d)
