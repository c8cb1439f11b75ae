"""BatchNorm as every encoder and head here uses it."""

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

BATCH_NORM_DECAY = 0.9
"""Share of the old running statistics that an update keeps (PyTorch: 0.1)."""

BATCH_NORM_EPSILON = 1e-5

SCALE_INIT = nnx.initializers.ones_init()


def batch_norm(
    num_channels: int,
    *,
    scale_init: nnx.Initializer = SCALE_INIT,
    use_bias: bool = True,
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
) -> nnx.BatchNorm:
    """Returns a BatchNorm with the original's decay of 0.9 and epsilon of 1e-5.

    Under ``jax.jit`` with a sharded batch its statistics are those of the global batch.

    Args:
      num_channels: size of the last axis.
      scale_init: initial scale; zeros for the last one of a residual branch.
      use_bias: whether there is a trainable shift.
      dtype: type of the output; statistics are computed and kept in float32.
      rngs: source of the initial weights.

    Returns:
      The module, in training mode.
    """
    return nnx.BatchNorm(
        num_channels,
        momentum=BATCH_NORM_DECAY,
        epsilon=BATCH_NORM_EPSILON,
        scale_init=scale_init,
        use_bias=use_bias,
        dtype=dtype,
        param_dtype=jnp.float32,
        rngs=rngs,
    )
