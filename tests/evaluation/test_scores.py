import numpy as np
import pytest

from simclr_jax import evaluation

pytestmark = pytest.mark.quick


def test_balanced_accuracy_is_the_mean_over_classes():
    labels = np.asarray([0] * 8 + [1] * 2)
    assert evaluation.balanced_accuracy(np.zeros(10, int), labels) == 0.5
    predicted = np.asarray([0] * 4 + [1] * 4 + [1, 0])
    assert evaluation.balanced_accuracy(predicted, labels) == 0.5
    assert evaluation.balanced_accuracy(labels, labels) == 1.0


def test_balanced_accuracy_equals_scikit_learn(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    labels, predicted = rng.choice(5, (2, 200), p=[0.6, 0.2, 0.1, 0.05, 0.05])
    expected = metrics.balanced_accuracy_score(labels, predicted)
    assert evaluation.balanced_accuracy(predicted, labels) == pytest.approx(expected)


def test_majority_rate_is_the_share_of_the_most_frequent_class():
    assert evaluation.majority_rate(np.asarray([3, 3, 3, 9])) == 0.75
    assert evaluation.majority_rate(np.asarray([3])) == 1.0
