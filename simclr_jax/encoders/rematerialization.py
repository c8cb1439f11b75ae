"""Trading time for memory: what the forward pass of an encoder keeps for the backward.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost",
https://arxiv.org/abs/1604.06174.

Compiled for a CPU this saves nothing: XLA drops there the barriers between the two
computations of a value before it merges equal ones.
"""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from simclr_jax.core import registry


def _is_convolution(primitive, *_, **__):
    return primitive is jax.lax.conv_general_dilated_p


REMAT: dict[str, Callable[..., Any] | None] = {
    "none": None,
    "convolutions": _is_convolution,
    "blocks": jax.checkpoint_policies.nothing_saveable,
}
"""Every choice of ``remat``, by growing thrift.

``none`` keeps whatever the backward pass reads. ``convolutions`` keeps the input of
every block and the outputs of its convolutions, and computes once more what is cheap:
BatchNorm, ReLU and the 1x1 products that are one with their BatchNorm. ``blocks`` keeps
the input alone and computes all once more.
"""


def set_remat(encoder: Any, remat: str) -> Any:
    """Sets what an encoder keeps for the backward pass; returns the encoder."""
    if hasattr(encoder, "remat"):
        encoder.remat = check(remat)
    return encoder


def check(remat: str) -> str:
    """Returns ``remat`` if it is one of the choices.

    Raises:
      UserError: if it is not; lists the choices.
    """
    registry.lookup("remat", remat, REMAT)
    return remat


def call(
    function: Callable[[Any, jax.Array], jax.Array],
    block: nnx.Module,
    x: jax.Array,
    *,
    remat: str,
) -> jax.Array:
    """Returns ``function(block, x)``, of which the backward pass may find little kept.

    Values, gradients and the paths of variables are the same for every choice. Running
    statistics are updated by the forward pass alone, not again when it is repeated.

    Args:
      function: applies the block.
      block: a part of an encoder.
      x: activations [b h w c].
      remat: a name in ``REMAT``.

    Returns:
      The output of the function.
    """
    policy = REMAT[remat]
    if policy is None:
        return function(block, x)
    # Tree mode hands back just the variables that were written, in any mode of flax.
    repeat = nnx.remat(function, policy=policy, graph=False, graph_updates=False)
    return repeat(block, x)
