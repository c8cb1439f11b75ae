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
_SMALLEST_KERNEL = 1e-2  # Norm below which all logits are practically equal.
# Number of evaluations without a smaller gradient after which float32 is assumed to
# permit no further progress. An iteration takes one evaluation, or 20 if its line
# search fails because of rounding.
_PATIENCE = 200

# Near the optimum, the objective changes by less than its rounding error. A step is
# then judged by its gradient; the tolerance is larger than the default of optax.
_SEARCH = optax.scale_by_zoom_linesearch(
    max_linesearch_steps=20, initial_guess_strategy="one", approx_dec_rtol=1e-4
)

_log = logging.getLogger("simclr_jax")


@final
@dataclasses.dataclass(frozen=True)
class LinearProbe:
    """A classifier ``(features - center) @ kernel + bias``.

    Attributes:
      kernel: float32 [d k]; includes the scale of the features.
      bias: float32 [k]; minus infinity for a class without training rows.
      center: mean of the training features, float32 [d].
      converged: whether ``distance`` and the gradient are within the tolerances.
      num_iterations: number of L-BFGS iterations.
      distance: upper bound of the distance of the standardized kernel from the optimum,
        relative to its norm. It assumes the optimal bias; the true distance is often a
        tenth of it.
    """

    kernel: jax.Array
    bias: jax.Array
    center: jax.Array
    converged: bool
    num_iterations: int
    distance: float

    def predict(self, features: Float[np.ndarray, "n d"]) -> np.ndarray:
        """Returns the most likely class of each row of ``features``, int32 [n]."""
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
    """Fits a linear classifier: mean cross entropy plus ``l2 / 2 * |kernel|^2``.

    L-BFGS iterates until ``distance`` (see ``LinearProbe``) is at most ``tolerance``
    and the norm of the gradient is at most 1e-5. If it does not converge, a warning is
    logged. Classes without rows are never predicted.

    Args:
      features: float32 [n d].
      labels: integers [n] in [0, num_classes), of at least two classes.
      num_classes: number of classes, k.
      l2: weight of the penalty on the kernel of the standardized features, > 0.
      num_iterations: maximum number of L-BFGS iterations.
      tolerance: largest relative distance to the optimum.

    Returns:
      The probe.

    Raises:
      UserError: if the shapes do not match, a label is out of range, all labels are
        equal, or features are not finite.

    Example:
      >>> import numpy as np
      >>> from simclr_jax import evaluation
      >>> features = np.array([[0.0], [1.0], [2.0], [3.0]], np.float32)
      >>> labels = np.array([0, 0, 1, 1])
      >>> probe = evaluation.fit_linear_probe(features, labels, num_classes=2)
      >>> probe.predict(features).tolist()
      [0, 0, 1, 1]
    """
    checks.check_positive("l2", l2)
    checks.check_positive("tolerance", tolerance)
    checks.check_positive_int("num_iterations", num_iterations)
    labels = np.asarray(labels)
    present = _check_labels(len(features), labels, num_classes)
    # A copy, donated to `_standardize`, so that the device stores the features once.
    standard = jnp.array(features, jnp.float32, copy=True)
    center, scale = standardize.center_and_scale(standard)
    if not bool(jnp.isfinite(center).all() & jnp.isfinite(scale).all()):
        raise errors.UserError(
            "The features contain NaN, infinity, or numbers whose sum overflows."
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
    """Computes the accuracy of a probe.

    Args:
      probe: the classifier.
      features: float32 [n d].
      labels: true classes, integers [n].

    Returns:
      The fraction of rows that are classified correctly, in [0, 1].

    Example:
      >>> import numpy as np
      >>> from simclr_jax import evaluation
      >>> features = np.array([[0.0], [1.0], [2.0], [3.0]], np.float32)
      >>> labels = np.array([0, 0, 1, 1])
      >>> probe = evaluation.fit_linear_probe(features, labels, num_classes=2)
      >>> evaluation.accuracy(probe, features, labels)
      1.0
    """
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
      labels: integers [n].
      num_per_class: number of rows of each class.
      seed: random seed of the draw.
      name_of: returns the name of a class for error messages.

    Returns:
      Sorted row indices [classes * num_per_class].

    Raises:
      UserError: if a class has too few rows.

    Example:
      >>> import numpy as np
      >>> from simclr_jax import evaluation
      >>> labels = np.array([0, 0, 1, 1])
      >>> rows = evaluation.take_per_class(labels, num_per_class=1, seed=0)
      >>> labels[rows].tolist()
      [0, 1]
    """
    generator = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(rows) < num_per_class:
            raise errors.UserError(
                f"Class {name_of(int(label))} has {len(rows)} rows; {num_per_class} "
                "were requested."
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
        """Returns whether the iterate is close enough to the optimum."""
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
            f"All {len(labels)} labels are {present[0]}: a probe needs at least two "
            "classes, because with one class every classifier has accuracy 1."
        )
    return present


def _warn(best: _Best, tolerance: float, l2: float, *, made: int, most: int) -> None:
    _log.warning(
        "The linear probe stopped after %d iterations with a gradient of norm %.1e; "
        "the relative error of its weights may be %.2g, above the tolerance of %.2g. "
        "Increase l2 (now %g)%s.",
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


# By default, accelerators round the factors to 8 or 11 bits, an error larger than the
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
    # The bound holds because the objective is l2-strongly convex in the kernel.
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
        # [k d], because the gradient of [d k] transposes all features per iteration.
        "kernel": jnp.zeros((num_classes, features.shape[1]), jnp.float32),
        "bias": jnp.zeros((num_classes,), jnp.float32),
    }
    infinite = jnp.float32(jnp.inf)
    best = _Best(params, infinite, infinite)
    start = (params, solver.init(params), best, jnp.int32(0), jnp.int32(0))
    _, _, best, count, _ = jax.lax.while_loop(unfinished, step, start)
    # The last update was not evaluated.
    return best, count - 1
