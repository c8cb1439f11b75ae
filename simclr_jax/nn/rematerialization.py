"""Rematerialization: which activations are saved for the backward pass.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost",
https://arxiv.org/abs/1604.06174.

On a CPU this saves no memory: XLA removes the barriers between the two computations
of a value and then merges them.
"""

import abc
import logging
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from simclr_jax.core import registry

_log = logging.getLogger("simclr_jax")


def _is_convolution(primitive, *_, **__):
    return primitive is jax.lax.conv_general_dilated_p


REMAT: dict[str, Callable[..., Any] | None] = {
    "none": None,
    "convolutions": _is_convolution,
    "blocks": jax.checkpoint_policies.nothing_saveable,
}
"""Every choice of ``remat``, in the order of growing savings of memory.

``none`` keeps whatever the backward pass reads. ``convolutions`` keeps the input of
every block and the outputs of its convolutions, and computes once more what is cheap:
BatchNorm, ReLU and the 1x1 products that are one with their BatchNorm. ``blocks`` keeps
the input alone and computes all once more.
"""


class Block(nnx.Module, abc.ABC):
    """Base class of encoder parts whose activations can be recomputed.

    A subclass defines ``forward(x)``; calling the block calls it. An encoder made of
    blocks need not know about rematerialization: ``set_remat`` finds its blocks.

    Attributes:
      remat: what is saved for the backward pass, a name in ``REMAT``.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import nn
      >>> class Double(nn.Block):
      ...     def forward(self, x):
      ...         return 2 * x
      >>> Double()(jnp.ones(2))
      Array([2., 2.], dtype=float32)
    """

    remat: str = "none"

    @abc.abstractmethod
    def forward(self, x: jax.Array) -> jax.Array:
        """Returns the output of the block for ``x`` [b ...]; subclasses define it."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns ``forward(x)``; the backward pass may recompute parts of it.

        Values, gradients and the paths of variables are the same for every choice.
        Running statistics are updated by the forward pass alone, not again when it is
        repeated.
        """
        forward, policy = type(self).forward, REMAT[self.remat]
        if policy is None:
            return forward(self, x)
        # Tree mode returns only the variables that were written, whatever the default
        # mode of flax.
        repeat = nnx.remat(forward, policy=policy, graph=False, graph_updates=False)
        return repeat(self, x)


def set_remat(encoder: nnx.Module, remat: str) -> int:
    """Sets which activations the blocks of an encoder save for the backward pass.

    Args:
      encoder: any module, built or abstract; changed in place. The choice applies to
        its ``Block`` parts.
      remat: a name in ``REMAT``.

    Returns:
      The number of blocks. An encoder without any is left as it is; for a choice other
      than ``"none"`` one line of the log says so.

    Raises:
      UserError: if the choice is unknown; lists the choices.

    Example:
      >>> from flax import nnx
      >>> from simclr_jax import encoders, nn
      >>> encoder = encoders.build("convnet", image_shape=(8, 8, 1), rngs=nnx.Rngs(0))
      >>> nn.set_remat(encoder, "blocks")
      4
    """
    registry.lookup("remat", remat, REMAT)
    blocks = [part for _, part in nnx.iter_modules(encoder) if isinstance(part, Block)]
    for block in blocks:
        block.remat = remat
    if not blocks and remat != "none":
        _log.warning(
            "remat=%r has no effect: %s has no blocks (nn.Block).",
            remat,
            type(encoder).__name__,
        )
    return len(blocks)
