"""The linear probe: softmax regression on frozen features, solved to its optimum.

The protocol of Chen et al. 2020, appendix B.8: L-BFGS on all features at once, with an
L2 penalty and no augmentation. Features are standardized, so that one penalty fits
features of any scale.
"""

import dataclasses
import functools
import logging
from collections.abc import Callable
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from simclr_jax.core import checks, errors
from simclr_jax.evaluation import standardize

PROTOCOL = "linear, L-BFGS softmax regression on standardized frozen features"

_LARGEST_GRADIENT = 1e-5
_SMALLEST_KERNEL = 1e-2  # by norm: below, logits are all but equal
# Evaluations without a smaller gradient, after which float32 can do no better: an
# iteration takes one, and 20 where its line search finds nothing but rounding.
_PATIENCE = 200

# Near the optimum, the objective changes by less than its rounding: a step is then
# judged by its gradient, from a larger relative change on than optax's default.
_SEARCH = optax.scale_by_zoom_linesearch(
    max_linesearch_steps=20, initial_guess_strategy="one", approx_dec_rtol=1e-4
)

_log = logging.getLogger("simclr_jax")


@final
@dataclasses.dataclass(frozen=True)
class LinearProbe:
    """A classifier ``(features - center) @ kernel + bias``.

    Attributes:
      kernel: float32, shape [d k]; the scale of the features is folded in.
      bias: float32, shape [k]; minus infinity for a class without training rows.
      center: mean of the training features, float32, shape [d].
      converged: whether ``distance`` and the gradient are within the tolerances.
      num_iterations: iterations of L-BFGS that were made.
      distance: bound on how far the standardized kernel is from the optimum, relative
        to its own norm. It assumes the optimal bias and is pessimistic: the error is
        often a tenth of it.
    """

    kernel: jax.Array
    bias: jax.Array
    center: jax.Array
    converged: bool
    num_iterations: int
    distance: float

    def predict(self, features: Float[np.ndarray, "n d"]) -> np.ndarray:
        """Returns the most likely class of each row, int32 [n]."""
        return np.asarray(
            _predict(jnp.asarray(features), self.kernel, self.bias, self.center)
        )


def fit_linear_probe(
    features: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " labels"],
    *,
    num_classes: int,
    l2: float = 1e-3,
    num_iterations: int = 2000,
    tolerance: float = 1e-3,
) -> LinearProbe:
    """Fits the classifier: mean cross entropy plus ``l2 / 2 * |kernel|^2``.

    L-BFGS iterates until ``distance`` (see ``LinearProbe``) is within the tolerance and
    the norm of the gradient within 1e-5; a warning says where that is not reached.
    Classes without rows are never predicted.

    Args:
      features: float32, shape [n d].
      labels: in [0, num_classes), of at least two classes, shape [n].
      num_classes: k.
      l2: weight of the penalty on the kernel of the standardized features, > 0.
      num_iterations: iterations of L-BFGS at most.
      tolerance: largest relative distance to the optimum.

    Returns:
      The probe.

    Raises:
      UserError: if the shapes do not match, a label is out of range, all labels are the
        same or features are not finite.
    """
    checks.check_positive("l2", l2)
    checks.check_positive("tolerance", tolerance)
    checks.check_positive_int("num_iterations", num_iterations)
    labels = np.asarray(labels)
    present = _check_labels(len(features), labels, num_classes)
    # A copy, which is given to _standardize: the features are on the device once.
    standard = jnp.array(features, jnp.float32, copy=True)
    center, scale = standardize.center_and_scale(standard)
    if not bool(jnp.isfinite(center).all() & jnp.isfinite(scale).all()):
        raise errors.UserError(
            "The features hold NaN or infinity, or numbers too large to add up."
        )
    best, made = _minimize(
        _standardize(standard, center, scale),
        jnp.asarray(np.searchsorted(present, labels), jnp.int32),
        l2,
        tolerance,
        num_classes=len(present),
        num_iterations=num_iterations,
    )
    converged = bool(best.is_within(tolerance))
    if not converged:
        _warn(best, tolerance, l2, made=int(made), most=num_iterations)
    kernel = np.zeros((features.shape[1], num_classes), np.float32)
    bias = np.full(num_classes, -np.inf, np.float32)
    kernel[:, present] = np.asarray(best.params["kernel"] * scale[None, :]).T
    bias[present] = np.asarray(best.params["bias"])
    return LinearProbe(
        jnp.asarray(kernel),
        jnp.asarray(bias),
        center,
        converged=converged,
        num_iterations=int(made),
        distance=float(best.distance),
    )


def accuracy(
    probe: LinearProbe,
    features: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
) -> float:
    """Returns the share of rows whose most likely class is their label, in [0, 1]."""
    return float(np.mean(probe.predict(features) == np.asarray(labels)))


def take_per_class(
    labels: Int[np.ndarray, " n"],
    *,
    num_per_class: int,
    seed: int,
    name_of: Callable[[int], str] = str,
) -> np.ndarray:
    """Draws the same number of rows of every class.

    Args:
      labels: shape [n].
      num_per_class: rows of each class.
      seed: decides the draw.
      name_of: what to call a class in a message.

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
                f"Class {name_of(int(label))} has {len(rows)} rows; {num_per_class} "
                "were asked for."
            )
        chosen.append(generator.choice(rows, num_per_class, replace=False))
    return np.sort(np.concatenate(chosen))


@final
@dataclasses.dataclass(frozen=True)
class _Best:
    """The iterate with the smallest gradient."""

    params: dict[str, jax.Array]
    norm: jax.Array
    distance: jax.Array

    def is_within(self, tolerance: jax.Array | float) -> jax.Array:
        """Returns whether it is close enough to the optimum."""
        return (self.distance <= tolerance) & (self.norm <= _LARGEST_GRADIENT)


jax.tree_util.register_dataclass(_Best)


def _check_labels(num_rows: int, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns the classes that occur, sorted."""
    if num_rows != len(labels) or num_rows == 0:
        raise errors.UserError(
            f"The probe needs one label per row of features; got {num_rows} rows "
            f"and {len(labels)} labels."
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise errors.UserError(
            f"Labels must be in [0, {num_classes}); got {labels.min()} to "
            f"{labels.max()}."
        )
    present = np.unique(labels)
    if len(present) < 2:
        raise errors.UserError(
            f"All {len(labels)} labels are {present[0]}: a probe needs two classes at "
            "least, or its accuracy is 1 whatever the features are."
        )
    return present


def _warn(best: _Best, tolerance: float, l2: float, *, made: int, most: int) -> None:
    _log.warning(
        "The linear probe stopped after %d iterations with a gradient of norm %.1e; "
        "its weights may be off by %.2g of their norm, where %.2g was wanted. Raise l2 "
        "(now %g)%s.",
        made,
        best.norm,
        best.distance,
        tolerance,
        l2,
        " or num_iterations" if made == most else "",
    )


@functools.partial(jax.jit, donate_argnums=0)
def _standardize(features: jax.Array, center: jax.Array, scale: jax.Array) -> jax.Array:
    return (features - center[None, :]) * scale[None, :]


@jax.jit
def _predict(
    features: jax.Array, kernel: jax.Array, bias: jax.Array, center: jax.Array
) -> jax.Array:
    logits = _product(features - center[None, :], kernel) + bias[None, :]
    return jnp.argmax(logits, axis=-1).astype(jnp.int32)


# The default on accelerators rounds the factors to 8 or 11 bits, which is more than the
# tolerance.
_product = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


def _penalized_loss(
    params: dict[str, jax.Array],
    features: jax.Array,
    labels: jax.Array,
    l2: jax.Array | float,
) -> jax.Array:
    logits = _product(features, params["kernel"].T) + params["bias"][None, :]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return jnp.mean(losses) + 0.5 * l2 * jnp.sum(jnp.square(params["kernel"]))


def _measured(params: dict[str, jax.Array], grad: Any, l2: jax.Array | float) -> _Best:
    # The objective is l2-strongly convex in the kernel.
    size = jnp.maximum(jnp.linalg.norm(params["kernel"]), _SMALLEST_KERNEL)
    distance = jnp.linalg.norm(grad["kernel"]) / (l2 * size)
    return _Best(params, optax.tree.norm(grad), distance)


@functools.partial(jax.jit, static_argnames=("num_classes", "num_iterations"))
def _minimize(
    features: jax.Array,
    labels: jax.Array,
    l2: jax.Array | float,
    tolerance: jax.Array | float,
    *,
    num_classes: int,
    num_iterations: int,
) -> tuple[_Best, jax.Array]:
    def objective(params):
        return _penalized_loss(params, features, labels, l2)

    solver = optax.lbfgs(linesearch=_SEARCH)
    value_and_grad = optax.value_and_grad_from_state(objective)

    def step(carry):
        params, state, best, count, num_idle = carry
        value, grad = value_and_grad(params, state=state)
        found = _measured(params, grad, l2)
        is_best = found.norm < best.norm
        best = jax.tree.map(lambda new, old: jnp.where(is_best, new, old), found, best)
        updates, state = solver.update(
            grad, state, params, value=value, grad=grad, value_fn=objective
        )
        tried = optax.tree.get(state, "info").num_linesearch_steps
        num_idle = jnp.where(is_best, 0, num_idle) + tried
        return optax.apply_updates(params, updates), state, best, count + 1, num_idle

    def unfinished(carry):
        _, _, best, count, num_idle = carry
        return (
            (count <= num_iterations)
            & ~best.is_within(tolerance)
            & (num_idle < _PATIENCE)
        )

    params = {
        # [k d]: the gradient of [d k] would transpose all features at each iteration.
        "kernel": jnp.zeros((num_classes, features.shape[1]), jnp.float32),
        "bias": jnp.zeros((num_classes,), jnp.float32),
    }
    infinite = jnp.float32(jnp.inf)
    best = _Best(params, infinite, infinite)
    start = (params, solver.init(params), best, jnp.int32(0), jnp.int32(0))
    _, _, best, count, _ = jax.lax.while_loop(unfinished, step, start)
    # The last update was not measured.
    return best, count - 1
