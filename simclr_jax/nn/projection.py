"""Projection heads, which map encoder features h to the embeddings z of the loss."""

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, final

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from simclr_jax.core import checks, errors, registry
from simclr_jax.nn import normalization

HEADS = registry.Registry("head", supplied=("dtype", "rngs"))
"""Every head: ``builder(input_dim, *, dtype, rngs, **options)``."""


@final
@HEADS.register("projection")
class ProjectionHead(nnx.Module):
    """Multi-layer perceptron from h to z, discarded after pretraining.

    With ``batch_norm`` it is as in the original code: every linear map, including the
    last, is followed by BatchNorm (the last without a shift) and has no bias of its
    own. Without, every linear map has a bias. ReLU stands between the layers. Without
    ``last_batch_norm`` the last linear map has a bias and no BatchNorm, as in BYOL.

    Chen et al. 2020, section 4.2, and the original code for the BatchNorms.

    Attributes:
      output_dim: width of z.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from simclr_jax import nn
      >>> head = nn.ProjectionHead(16, output_dim=8, rngs=nnx.Rngs(0))
      >>> head(jnp.ones((4, 16))).shape
      (4, 8)
    """

    def __init__(
        self,
        input_dim: int,
        *,
        num_layers: int = 2,
        hidden_dim: int | None = None,
        output_dim: int = 128,
        batch_norm: bool = True,
        last_batch_norm: bool = True,
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
          last_batch_norm: whether, with ``batch_norm``, the last linear map is followed
            by one too; without, the kernels start from LeCun's normal.
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
        is_original = batch_norm and last_batch_norm
        kernel_init = normal if is_original else nnx.initializers.lecun_normal()
        linears, norms = [], []
        for index, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
            is_last = index == num_layers - 1
            has_norm = batch_norm and (last_batch_norm or not is_last)
            linear = nnx.Linear(
                fan_in,
                fan_out,
                use_bias=not has_norm,
                kernel_init=kernel_init,
                dtype=dtype,
                rngs=rngs,
            )
            linears.append(linear)
            if has_norm:
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
            if index < len(self.norms):
                x = self.norms[index](x)
            if index < len(self.linears) - 1:
                x = jax.nn.relu(x)
        return x


def build_head(
    head: nnx.Module | Mapping[str, Any] | None,
    before: Any,
    *,
    default: Mapping[str, Any] = MappingProxyType({}),
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs | None = None,
) -> Any:
    """Builds a head for the output of another module.

    Args:
      head: a module, which is returned unchanged; or options of ``ProjectionHead``;
        None: no options.
      before: an encoder (with ``feature_dim``) or another head (with ``output_dim``).
      default: defaults of the options.
      dtype: of the activations.
      rngs: source of the initial weights; needed unless ``head`` is a module.

    Returns:
      The head.

    Raises:
      UserError: if an option is unknown, or there is no ``rngs``.

    Example:
      >>> from flax import nnx
      >>> from simclr_jax import nn
      >>> first = nn.ProjectionHead(16, output_dim=8, rngs=nnx.Rngs(0))
      >>> nn.build_head({"output_dim": 4}, before=first, rngs=nnx.Rngs(1)).output_dim
      4
    """
    if isinstance(head, nnx.Module):
        return head
    if rngs is None:
        raise errors.UserError(
            "A head that is not a module is built here and needs rngs, e.g. "
            "rngs=nnx.Rngs(0)."
        )
    width = before.output_dim if hasattr(before, "output_dim") else before.feature_dim
    options = {**default, **(head or {})}
    return HEADS.build("projection", options, width, dtype=dtype, rngs=rngs)


def check_same_width(name: str, head: Any, other_name: str, other: Any) -> None:
    """Raises unless two heads have outputs of the same width.

    Args:
      name: of the first, for the message.
      head: with ``output_dim``.
      other_name: of the second.
      other: with ``output_dim``.

    Raises:
      UserError: with both widths.

    Example:
      >>> from flax import nnx
      >>> from simclr_jax import nn
      >>> head = nn.ProjectionHead(16, output_dim=8, rngs=nnx.Rngs(0))
      >>> nn.check_same_width("head", head, "predictor", head)
    """
    if head.output_dim != other.output_dim:
        raise errors.UserError(
            f"The {name} must be as wide as the {other_name}: output_dim "
            f"{other.output_dim}; got {head.output_dim}."
        )
