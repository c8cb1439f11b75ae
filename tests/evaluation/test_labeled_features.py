import types

import numpy as np
import pytest

from simclr_jax import evaluation
from simclr_jax.core import errors
from simclr_jax.evaluation import labels as labeling

pytestmark = pytest.mark.quick


def make(labels, names=None, name="set"):
    labels = np.asarray(labels, np.int32)
    features = np.arange(len(labels), dtype=np.float32)[:, None]
    return evaluation.LabeledFeatures(
        name, features, labels, int(labels.max()) + 1, names
    )


def test_class_names_fall_back_to_numbers():
    source = types.SimpleNamespace(class_names=("cat", "dog"))
    assert evaluation.class_name(source, 1) == "dog"
    assert evaluation.class_name(source, 2) == "2"
    assert evaluation.class_name(object(), 1) == "1"
    assert evaluation.class_name(types.SimpleNamespace(class_names=None), 0) == "0"


def test_removes_and_counts_rows_without_a_label():
    source = types.SimpleNamespace(name="x", num_classes=3, class_names=("a", "b", "c"))
    features = np.arange(5, dtype=np.float32)[:, None]
    found = evaluation.leave_out_unlabeled(
        source, features, np.asarray([0, -1, 2, -1, 1], np.int32)
    )
    assert found.labels.tolist() == [0, 2, 1]
    assert found.features[:, 0].tolist() == [0, 2, 4]
    assert found.num_unlabeled == 2
    assert (found.num_classes, found.class_name(2)) == (3, "c")
    with pytest.raises(errors.DataError, match=r"x: none of the 5 images has a label"):
        evaluation.leave_out_unlabeled(source, features, np.full(5, -1))


def test_matches_classes_by_name():
    train = make([0, 1, 2], ("ant", "bee", "cat"))
    test = make([0, 1, 2, 2], ("cat", "dog", "ant"))
    moved = labeling.number_as(test, train)
    assert moved.labels.tolist() == [2, 3, 0, 0]
    assert moved.class_names == ("ant", "bee", "cat", "dog")
    assert labeling.number_as(make([1, 0]), train).labels.tolist() == [1, 0]


@pytest.mark.parametrize(("share", "expected"), [(0.2, [2, 20, 1]), (0.9, [9, 90, 1])])
def test_holds_out_a_share_of_every_class(rng, share, expected):
    labels = rng.permutation(np.repeat([0, 1, 2, 3], [10, 100, 2, 1]))
    train, test = evaluation.hold_out(labels, share=share, seed=3)
    assert np.bincount(labels[test], minlength=4).tolist() == [*expected, 0]
    np.testing.assert_array_equal(np.sort([*train, *test]), np.arange(113))
    again = evaluation.hold_out(labels, share=share, seed=3)
    np.testing.assert_array_equal(test, again[1])
    other = evaluation.hold_out(labels, share=share, seed=4)
    assert not np.array_equal(test, other[1])


def test_errors():
    for share in (0.0, 1.0, -0.2, float("nan")):
        with pytest.raises(errors.UserError, match=r"above 0 and below 1; got"):
            evaluation.hold_out(np.zeros(4, int), share=share, seed=0)
    with pytest.raises(errors.UserError, match=r"None of the 3 classes has two images"):
        evaluation.hold_out(np.arange(3), share=0.5, seed=0)
