"""The projection head g of SimCLR, which maps h to the z that the loss sees."""

import itertools

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from simclr_jax.core import checks, normalization


class ProjectionHead(nnx.Module):
    """A small multi-layer perceptron, thrown away after pretraining.

    With ``batch_norm`` it is the original's: every linear map, the last one too, is
    followed by BatchNorm (the last without a shift) and has no bias of its own.
    Without, every linear map has a bias. ReLU stands between the layers.

    Chen et al. 2020, section 4.2, and the original code for the BatchNorms.

    Attributes:
      output_dim: width of z.
    """

    def __init__(
        self,
        input_dim: int,
        *,
        num_layers: int = 2,
        hidden_dim: int | None = None,
        output_dim: int = 128,
        batch_norm: bool = True,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Builds the head.

        Args:
          input_dim: width of h.
          num_layers: linear maps; 1 is a linear head. Version 1 of SimCLR uses 2,
            version 2 uses 3.
          hidden_dim: width between the layers; None: ``input_dim``.
          output_dim: width of z.
          batch_norm: whether a BatchNorm follows each linear map. The kernels then
            start from N(0, 0.01^2) as in the original; else from LeCun's normal.
          dtype: type of the activations; parameters and statistics are float32.
          rngs: source of the initial weights.

        Raises:
          UserError: if a width or the number of layers is below one.
        """
        checks.check_positive_int("num_layers", num_layers)
        checks.check_positive_int("output_dim", output_dim)
        hidden_dim = input_dim if hidden_dim is None else hidden_dim
        checks.check_positive_int("hidden_dim", hidden_dim)
        widths = [input_dim, *[hidden_dim] * (num_layers - 1), output_dim]
        normal = nnx.initializers.normal(0.01)
        kernel_init = normal if batch_norm else nnx.initializers.lecun_normal()
        linears, norms = [], []
        for index, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
            linear = nnx.Linear(
                fan_in,
                fan_out,
                use_bias=not batch_norm,
                kernel_init=kernel_init,
                dtype=dtype,
                rngs=rngs,
            )
            linears.append(linear)
            if batch_norm:
                is_last = index == num_layers - 1
                norm = normalization.BatchNorm(
                    fan_out, use_bias=not is_last, dtype=dtype
                )
                norms.append(norm)
        self.linears = nnx.List(linears)
        self.norms = nnx.List(norms)
        self.output_dim = output_dim

    def __call__(self, features: Float[Array, "n h"]) -> Float[Array, "n d"]:
        """Returns z [n output_dim] of features h [n input_dim]; not normalized."""
        x = features
        for index, linear in enumerate(self.linears):
            x = linear(x)
            if self.norms:
                x = self.norms[index](x)
            if index < len(self.linears) - 1:
                x = jax.nn.relu(x)
        return x
