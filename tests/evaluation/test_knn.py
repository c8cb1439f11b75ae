import numpy as np
import pytest

from simclr_jax import evaluation
from simclr_jax.core import errors
from simclr_jax.evaluation import knn

pytestmark = pytest.mark.quick


def brute_force(train, labels, test, *, k, temperature, num_classes):
    """Sorts all similarities, in float64; lower indices first among equals."""

    def normalize(rows):
        rows = np.asarray(rows, np.float64)
        norm = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(norm > 0, norm, 1)

    predicted = []
    for similar in normalize(test) @ normalize(train).T:
        nearest = np.argsort(-similar, kind="stable")[:k]
        votes = np.zeros(num_classes)
        np.add.at(votes, labels[nearest], np.exp(similar[nearest] / temperature))
        predicted.append(np.argmax(votes))
    return np.asarray(predicted)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (20, 0.07), (57, 10.0)])
@pytest.mark.parametrize("blocks", [(8192, 512), (10, 7)])
def test_equals_brute_force(rng, monkeypatch, k, temperature, blocks):
    monkeypatch.setattr(knn, "_TRAIN_BLOCK", blocks[0])
    monkeypatch.setattr(knn, "_TEST_BLOCK", blocks[1])
    labels = rng.integers(0, 4, 57)
    centers = 2 * rng.normal(size=(4, 6))
    train = (centers[labels] + rng.normal(size=(57, 6))).astype(np.float32)
    test = (centers[rng.integers(0, 4, 30)] + rng.normal(size=(30, 6))).astype("f4")
    options = {"k": k, "temperature": temperature, "num_classes": 4}
    found = evaluation.knn_predict(train, labels, test, **options)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, brute_force(train, labels, test, **options))


def test_ties_are_resolved_by_index_and_class_number(monkeypatch):
    axis = np.eye(3, dtype=np.float32)
    train = np.stack([axis[0]] * 4 + [axis[1]])
    options = {"temperature": 0.1, "num_classes": 5}
    for block in (2, 8192):
        monkeypatch.setattr(knn, "_TRAIN_BLOCK", block)
        # The first of four equal rows is the neighbor, whatever its class.
        labels = np.asarray([4, 0, 1, 2, 3])
        found = evaluation.knn_predict(train, labels, axis[:2], k=1, **options)
        assert found.tolist() == [4, 3]
        # One vote each for 4 and 2; the lower class is predicted.
        labels = np.asarray([4, 2, 1, 1, 3])
        found = evaluation.knn_predict(train, labels, axis[:1], k=2, **options)
        assert found.tolist() == [2]


def test_near_neighbors_can_outvote_many(rng):
    train = np.asarray([[1, 0], [0.8, 0.6], [0.8, -0.6]], np.float32)
    labels, test = np.asarray([0, 1, 1]), np.asarray([[3, 0]], np.float32)
    # exp(1 / t) against 2 exp(0.8 / t): equal at t = 0.2 / ln 2 = 0.2885.
    for temperature, expected in ((0.001, 0), (0.28, 0), (0.30, 1)):
        found = evaluation.knn_predict(
            train, labels, test, k=3, temperature=temperature, num_classes=2
        )
        assert found.tolist() == [expected]


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_predictions_do_not_depend_on_row_norms(rng, size):
    labels = rng.integers(0, 3, 40)
    train, test = rng.normal(size=(2, 40, 5)).astype(np.float32)
    options = {"k": 5, "temperature": 0.1, "num_classes": 3}
    first = evaluation.knn_predict(train, labels, test, **options)
    scale = np.float32(size)
    second = evaluation.knn_predict(train * scale, labels, test * scale, **options)
    np.testing.assert_array_equal(first, second)


def test_accepts_a_row_of_zeros_and_no_rows():
    train, labels = np.eye(2, dtype=np.float32), np.asarray([1, 0])
    options = {"k": 2, "temperature": 0.1, "num_classes": 2}
    found = evaluation.knn_predict(train, labels, 0 * train[:1], **options)
    assert found.tolist() == [0]
    assert evaluation.knn_predict(train, labels, train[:0], **options).size == 0


def test_errors():
    rows = np.ones((3, 2), np.float32)

    def predict(train=rows, labels=(0, 1, 0), test=rows, k=1, temperature=0.1):
        evaluation.knn_predict(
            train, np.asarray(labels), test, k=k, temperature=temperature, num_classes=2
        )

    with pytest.raises(errors.UserError, match=r"training rows, 3; got 4"):
        predict(k=4)
    with pytest.raises(errors.UserError, match=r"temperature must be a number > 0"):
        predict(temperature=0.0)
    with pytest.raises(errors.UserError, match=r"\[0, 2\); got -1 to 1. Remove"):
        predict(labels=(-1, 1, 0))
    with pytest.raises(errors.UserError, match=r"got features \(3, 2\), 2 labels"):
        predict(labels=(0, 1))
    with pytest.raises(errors.UserError, match=r"test rows \(3, 1\)"):
        predict(test=rows[:, :1])
    with pytest.raises(errors.UserError, match=r"contain NaN"):
        predict(test=rows * np.nan)
