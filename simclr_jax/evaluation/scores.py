"""Scores of predicted classes: balanced accuracy, and the majority baseline."""

import numpy as np
from jaxtyping import Int


def balanced_accuracy(
    predicted: Int[np.ndarray, " n"], labels: Int[np.ndarray, " n"]
) -> float:
    """Computes the balanced accuracy: the mean of the accuracies of each class.

    Unlike the accuracy, it does not reward always predicting the most frequent class.

    Args:
      predicted: predicted classes [n].
      labels: true classes [n], n > 0.

    Returns:
      A number in [0, 1]; equal to the accuracy if all classes have equally many rows.

    Example:
      >>> import numpy as np
      >>> from simclr_jax import evaluation
      >>> predicted, labels = np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1])
      >>> evaluation.balanced_accuracy(predicted, labels)
      0.5
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    right = [np.mean(predicted[labels == k] == k) for k in np.unique(labels)]
    return float(np.mean(right))


def majority_rate(labels: Int[np.ndarray, " n"]) -> float:
    """Computes the accuracy of always predicting the most frequent class.

    Args:
      labels: true classes [n], n > 0.

    Returns:
      A number in (0, 1].

    Example:
      >>> import numpy as np
      >>> from simclr_jax import evaluation
      >>> evaluation.majority_rate(np.array([0, 0, 0, 1]))
      0.75
    """
    counts = np.unique(np.asarray(labels), return_counts=True)[1]
    return float(counts.max() / counts.sum())
