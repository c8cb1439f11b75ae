"""The linear probe: softmax regression on frozen features, solved to its optimum.

The protocol of Chen et al. 2020, appendix B.8: L-BFGS on all features at once, with an
L2 penalty and no augmentation. Features are standardized, so that one penalty fits
features of any scale.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from simclr_jax.core import checks, errors

PROTOCOL = "linear, L-BFGS softmax regression on standardized frozen features"


@dataclasses.dataclass(frozen=True)
class LinearProbe:
    """A classifier ``features @ kernel + bias``; the standardization is folded in.

    Attributes:
      kernel: float32, shape [d k].
      bias: float32, shape [k].
    """

    kernel: jax.Array
    bias: jax.Array

    def predict(self, features: Float[np.ndarray, "n d"]) -> np.ndarray:
        """Returns the most likely class of each row, int32 [n]."""
        logits = jnp.asarray(features) @ self.kernel + self.bias[None, :]
        return np.asarray(jnp.argmax(logits, axis=-1))


def fit_linear_probe(
    features: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " labels"],
    *,
    num_classes: int,
    l2: float = 1e-3,
    num_iterations: int = 100,
) -> LinearProbe:
    """Fits the classifier: mean cross entropy plus ``l2 / 2 * |kernel|^2``.

    Args:
      features: float32, shape [n d].
      labels: in [0, num_classes), shape [n].
      num_classes: k.
      l2: weight of the penalty on the kernel of the standardized features, > 0.
      num_iterations: iterations of L-BFGS at most.

    Returns:
      The probe.

    Raises:
      UserError: if the shapes do not match, a label is out of range or features are
        not finite.
    """
    checks.check_positive("l2", l2)
    labels = np.asarray(labels)
    if len(features) != len(labels) or len(labels) == 0:
        raise errors.UserError(
            f"The probe needs one label per row of features; got {len(features)} rows "
            f"and {len(labels)} labels."
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise errors.UserError(
            f"Labels must be in [0, {num_classes}); got {labels.min()} to "
            f"{labels.max()}."
        )
    mean, variance = _moments(jnp.asarray(features))
    if not bool(jnp.isfinite(variance).all()):
        raise errors.UserError("The features hold NaN or infinity.")
    # A constant column keeps its scale; its weight stays zero.
    scale = jnp.where(variance > 1e-12, jax.lax.rsqrt(variance), 1.0)
    params = _minimize(
        jnp.asarray(features),
        jnp.asarray(labels, jnp.int32),
        mean,
        scale,
        num_classes,
        l2,
        num_iterations,
    )
    kernel, bias = _fold(params, mean, scale)
    return LinearProbe(kernel.T, bias)


def accuracy(
    probe: LinearProbe,
    features: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
) -> float:
    """Returns the share of rows whose most likely class is their label, in [0, 1]."""
    return float(np.mean(probe.predict(features) == np.asarray(labels)))


def take_per_class(
    labels: Int[np.ndarray, " n"], *, num_per_class: int, seed: int
) -> np.ndarray:
    """Draws the same number of rows of every class.

    Args:
      labels: shape [n].
      num_per_class: rows of each class.
      seed: decides the draw.

    Returns:
      Row numbers, sorted, shape [classes * num_per_class].

    Raises:
      UserError: if a class has too few rows.
    """
    generator = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(rows) < num_per_class:
            raise errors.UserError(
                f"Class {label} has {len(rows)} rows; {num_per_class} were asked for."
            )
        chosen.append(generator.choice(rows, num_per_class, replace=False))
    return np.sort(np.concatenate(chosen))


@jax.jit
def _moments(features: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and variance by column."""
    mean = jnp.mean(features, axis=0)
    return mean, jnp.mean(jnp.square(features - mean[None, :]), axis=0)


def _fold(
    params: dict[str, jax.Array], mean: jax.Array, scale: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Turns weights [k d] of standardized features into weights of the features."""
    kernel = params["kernel"] * scale[None, :]
    return kernel, params["bias"] - kernel @ mean


@functools.partial(jax.jit, static_argnames=("num_classes", "num_iterations"))
def _minimize(
    features: jax.Array,
    labels: jax.Array,
    mean: jax.Array,
    scale: jax.Array,
    num_classes: int,
    l2: jax.Array | float,
    num_iterations: int,
) -> Any:
    def objective(params):
        kernel, bias = _fold(params, mean, scale)
        logits = features @ kernel.T + bias[None, :]
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return jnp.mean(losses) + 0.5 * l2 * jnp.sum(jnp.square(params["kernel"]))

    solver = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(objective)

    def step(carry):
        params, state, _, count = carry
        value, grad = value_and_grad(params, state=state)
        updates, state = solver.update(
            grad, state, params, value=value, grad=grad, value_fn=objective
        )
        norm = optax.tree.norm(grad)
        return optax.apply_updates(params, updates), state, norm, count + 1

    def unfinished(carry):
        return (carry[3] < num_iterations) & (carry[2] > 1e-5)

    params = {
        # [k d]: the gradient of [d k] would transpose all features at each iteration.
        "kernel": jnp.zeros((num_classes, features.shape[1]), jnp.float32),
        "bias": jnp.zeros((num_classes,), jnp.float32),
    }
    start = (params, solver.init(params), jnp.float32(jnp.inf), jnp.int32(0))
    return jax.lax.while_loop(unfinished, step, start)[0]
