"""Scores of predicted classes, and what they are to be compared with."""

import numpy as np
from jaxtyping import Int


def balanced_accuracy(
    predicted: Int[np.ndarray, " n"], labels: Int[np.ndarray, " n"]
) -> float:
    """Computes the mean, over the classes that occur, of the share that is right.

    Unlike the accuracy, it does not grow by predicting the largest class everywhere.

    Args:
      predicted: predicted classes, shape [n].
      labels: true classes, shape [n], n > 0.

    Returns:
      A number in [0, 1]; the accuracy where all classes have the same number of rows.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    right = [np.mean(predicted[labels == k] == k) for k in np.unique(labels)]
    return float(np.mean(right))


def majority_rate(labels: Int[np.ndarray, " n"]) -> float:
    """Returns the accuracy of predicting the largest class everywhere, in (0, 1]."""
    counts = np.unique(np.asarray(labels), return_counts=True)[1]
    return float(counts.max() / counts.sum())
