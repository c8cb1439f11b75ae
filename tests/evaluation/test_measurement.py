import dataclasses

import numpy as np
import pytest

from simclr_jax import data, evaluation
from simclr_jax.core import errors

pytestmark = pytest.mark.quick


def make(rng, labels, names=None, name="set"):
    """Features in which the classes are separable."""
    labels = np.asarray(labels, np.int32)
    features = 20 * np.eye(4)[labels] + rng.normal(size=(len(labels), 4))
    return evaluation.LabeledFeatures(
        name, features.astype(np.float32), labels, 4, names
    )


def test_reports_accuracy_with_its_baselines(rng):
    train = make(rng, [0, 1] * 20, name="a")
    test = make(rng, [0] * 8 + [1] * 2, name="b")
    flipped = dataclasses.replace(test, labels=np.asarray([0] * 9 + [1], np.int32))
    result = evaluation.measure_linear_probe(train, flipped)
    assert result["accuracy"] == 0.9
    assert result["balanced_accuracy"] == pytest.approx((8 / 9 + 1) / 2)
    assert result["majority_rate"] == 0.9
    assert (result["train"], result["test"]) == ("a", "b")
    assert (result["num_labels"], result["num_test"]) == (40, 10)
    assert result["converged"]
    assert result["untrained_classes"] == {}
    text = evaluation.describe(result | {"num_unlabeled": 7})
    assert text.startswith("Test Accuracy: 0.9000\n")
    assert "0.9000 of the 10 test images" in text
    assert "left out  7 images without a label" in text


@pytest.mark.parametrize("side", ["train", "test"])
def test_rejects_a_single_class_by_name(rng, side):
    names = ("cat", "dog", "eel", "fox")
    sets = {"train": make(rng, [0, 1] * 5, names), "test": make(rng, [0, 1], names)}
    sets[side] = make(rng, [1] * 6, names, name="folder:x")
    message = r"All 6 labeled images of folder:x are of one class, dog, so the accuracy"
    with pytest.raises(errors.DataError, match=message):
        evaluation.measure_linear_probe(*sets.values())


def test_reports_classes_missing_in_training_with_counts(rng, caplog):
    train = make(rng, [0, 1] * 10, ("cat", "dog"), "a")
    test = make(rng, [0, 1, 1, 2], ("eel", "cat", "dog"), "b")
    test = dataclasses.replace(
        test,
        features=train.features[[0, 0, 2, 1]],  # of cat and dog
    )
    result = evaluation.measure_linear_probe(train, test)
    assert result["untrained_classes"] == {"eel": 1}
    assert result["accuracy"] == 0.75
    assert result["balanced_accuracy"] == pytest.approx(2 / 3)
    assert "b has images of classes that a lacks" in caplog.text
    assert "eel (1)" in caplog.text


def test_rejects_too_few_labels_by_class_name(rng):
    train = make(rng, [0, 1, 1], ("cat", "dog"))
    with pytest.raises(errors.UserError, match=r"Class cat has 1 rows; 2 were reque"):
        evaluation.measure_linear_probe(train, train, labels_per_class=2)
    result = evaluation.measure_linear_probe(train, train, labels_per_class=1)
    assert result["num_labels"] == 2


def test_splits_one_set_into_train_and_test(rng, caplog):
    labels = np.asarray([0] * 10 + [1] * 5 + [2] + [-1] * 3, np.int32)
    images = rng.integers(0, 256, (19, 2, 2, 1)).astype(np.uint8)
    source = data.ArraySource("mine", images, labels, 3)
    train, test = evaluation.extract_train_and_test(
        lambda batch: np.float32(batch).reshape(len(batch), -1),
        [source],
        test_share=0.2,
        seed=1,
    )
    assert np.bincount(train.labels).tolist() == [8, 4, 1]
    assert np.bincount(test.labels).tolist() == [2, 1]
    assert test.name == "mine, 0.2 of every class"
    assert train.num_unlabeled + test.num_unlabeled == 3
    expected = "mine: classes with a single image, which is used for training only: 2"
    assert expected in caplog.text
    pixels = {row.tobytes() for row in np.float32(images).reshape(19, -1)[:16]}
    assert {row.tobytes() for x in (train, test) for row in x.features} == pixels
