"""Weighted k-nearest-neighbor classification by cosine similarity.

The protocol of Wu et al. 2018 (arXiv:1805.01978), section 3.4: each of the k most
similar training rows votes for its class with the weight exp(similarity / temperature).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from simclr_jax.core import checks, errors

_TRAIN_BLOCK = 8192
_TEST_BLOCK = 512


def knn_predict(
    train_features: Float[np.ndarray, "n d"],
    train_labels: Int[np.ndarray, " labels"],
    test_features: Float[np.ndarray, "m d2"],
    *,
    k: int,
    temperature: float,
    num_classes: int,
) -> Int[np.ndarray, " m"]:
    """Predicts the class of each test row from its most similar training rows.

    The neighbors are exact. Similarities are computed in blocks of at most 512 test and
    8,192 training rows, so memory does not grow with their numbers. Among equally
    similar training rows, those with lower indices are chosen; among classes with equal
    votes, the one with the lower number. A row of zeros has similarity 0 to all rows.

    Args:
      train_features: float32 [n d], not necessarily normalized.
      train_labels: integers [n] in [0, num_classes).
      test_features: float32 [m d].
      k: number of neighbors, in [1, n].
      temperature: > 0; the smaller, the larger the weight of the nearest neighbors.
      num_classes: number of classes.

    Returns:
      The predicted classes, int32 [m].

    Raises:
      UserError: if shapes do not match, a label is out of range, features are not
        finite, or an option is out of range.

    Example:
      >>> import numpy as np
      >>> from simclr_jax import evaluation
      >>> train = np.array([[1, 0], [0, 1]], np.float32)
      >>> test = np.array([[0.9, 0.1]], np.float32)
      >>> evaluation.knn_predict(
      ...     train, np.array([0, 1]), test, k=1, temperature=0.1, num_classes=2
      ... ).tolist()
      [0]
    """
    checks.check_positive_int("k", k)
    checks.check_positive("temperature", temperature)
    checks.check_positive_int("num_classes", num_classes)
    train = np.asarray(train_features, np.float32)
    test = np.asarray(test_features, np.float32)
    labels = np.asarray(train_labels)
    _check(train, labels, test, k=k, num_classes=num_classes)
    train_block = min(_TRAIN_BLOCK, len(train))
    test_block = min(_TEST_BLOCK, max(len(test), 1))
    num_padding = -len(train) % train_block
    columns = _normalize(jnp.asarray(np.pad(train, ((0, num_padding), (0, 0)))))
    columns = columns.reshape(-1, train_block, train.shape[1])
    padded_labels = jnp.asarray(np.pad(labels, (0, num_padding)), jnp.int32)
    predicted = []
    for start in range(0, len(test), test_block):
        rows = test[start : start + test_block]
        rows = np.pad(rows, ((0, test_block - len(rows)), (0, 0)))
        similarities, neighbors = _find_neighbors(
            columns, jnp.asarray(rows), k=k, num_train=len(train)
        )
        votes_for = padded_labels[neighbors]
        classes = _vote(similarities, votes_for, temperature, num_classes=num_classes)
        predicted.append(np.asarray(classes))
    return np.concatenate([*predicted, np.zeros(0, np.int32)])[: len(test)]


def _check(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, *, k: int, num_classes: int
) -> None:
    if len(train) != len(labels) or train.shape[1] != test.shape[1]:
        raise errors.UserError(
            "knn needs one label per training row and test rows of the same width; got "
            f"features {train.shape}, {len(labels)} labels and test rows {test.shape}."
        )
    if k > len(train):
        raise errors.UserError(
            f"k must be at most the number of training rows, {len(train)}; got {k}."
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise errors.UserError(
            f"Labels must be in [0, {num_classes}); got {labels.min()} to "
            f"{labels.max()}. Remove the rows without a label."
        )
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        raise errors.UserError("The features contain NaN or infinity.")


@jax.jit
def _normalize(rows: jax.Array) -> jax.Array:
    """Scales rows to length 1; divides by the largest entry first to avoid overflow."""
    largest = jnp.max(jnp.abs(rows), axis=1, keepdims=True)
    rows = rows / jnp.where(largest > 0, largest, 1.0)
    norm = jnp.linalg.norm(rows, axis=1, keepdims=True)
    return rows / jnp.where(norm > 0, norm, 1.0)


@functools.partial(jax.jit, static_argnames=("k", "num_train"))
def _find_neighbors(
    columns: jax.Array, rows: jax.Array, *, k: int, num_train: int
) -> tuple[jax.Array, jax.Array]:
    """Returns similarities and indices [m k] of the neighbors, most similar first."""
    rows = _normalize(rows)
    num_blocks, block, _ = columns.shape

    def merge(best, inputs):
        number, part = inputs
        similar = jnp.matmul(rows, part.T, precision=jax.lax.Precision.HIGHEST)
        indices = number * block + jnp.arange(block, dtype=jnp.int32)
        similar = jnp.where((indices < num_train)[None, :], similar, -jnp.inf)
        indices = jnp.broadcast_to(indices[None, :], similar.shape)
        # Among equals, top_k prefers the lower position: earlier rows come first.
        values, places = jax.lax.top_k(jnp.concatenate([best[0], similar], axis=1), k)
        indices = jnp.concatenate([best[1], indices], axis=1)
        return (values, jnp.take_along_axis(indices, places, axis=1)), None

    # These -inf are always replaced, because there are at least k training rows.
    start = (
        jnp.full((len(rows), k), -jnp.inf, jnp.float32),
        jnp.zeros((len(rows), k), jnp.int32),
    )
    numbers = jnp.arange(num_blocks, dtype=jnp.int32)
    return jax.lax.scan(merge, start, (numbers, columns))[0]


@functools.partial(jax.jit, static_argnames="num_classes")
def _vote(
    similarities: jax.Array,
    labels: jax.Array,
    temperature: jax.Array | float,
    *,
    num_classes: int,
) -> jax.Array:
    """Returns the class with the most votes; sums over neighbors in their order."""
    # Relative to the nearest neighbor, because exp(1 / 0.01) would overflow.
    weights = jnp.exp((similarities - similarities[:, :1]) / temperature)
    classes = jnp.arange(num_classes, dtype=jnp.int32)

    def add(votes, neighbor):
        weight, label = neighbor
        is_own = label[:, None] == classes[None, :]
        return votes + jnp.where(is_own, weight[:, None], 0.0), None

    votes = jnp.zeros((len(labels), num_classes), jnp.float32)
    votes, _ = jax.lax.scan(add, votes, (weights.T, labels.T))
    return jnp.argmax(votes, axis=1).astype(jnp.int32)
