import numpy as np
import pytest

from simclr_jax.core import errors
from simclr_jax.data.sources import labels

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.asarray([2, 0, -1], np.int64), [2, 0, -1]),
        (np.asarray([2, 0, 1], np.uint8), [2, 0, 1]),
        (np.asarray([True, False]), [1, 0]),
        (np.asarray([2.0, np.nan, 1.0]), [2, -1, 1]),
        ([2, None, 1], [2, -1, 1]),
        ([None, None], [-1, -1]),
        ([], []),
    ],
)
def test_numbers_are_kept(values, expected):
    numbers, names = labels.to_class_numbers("x", values)
    assert numbers.dtype == np.int32
    assert (numbers.tolist(), names) == (expected, None)


@pytest.mark.parametrize(
    "values",
    [
        np.asarray(["dog", "", "cat", "dog"]),
        np.asarray([b"dog", b"", b"cat", b"dog"]),
        ["dog", None, "cat", " dog "],
    ],
)
def test_names_are_numbered_in_sorted_order(values):
    numbers, names = labels.to_class_numbers("x", values)
    assert (numbers.tolist(), names) == ([1, -1, 0, 1], ("cat", "dog"))
    assert labels.count_classes(numbers, names) == 2


def test_all_splits_have_the_same_numbers():
    train = np.asarray(["cat", "dog", "owl"])
    numbers, names = labels.to_class_numbers(
        "x", np.asarray(["ant", "owl"]), train_values=train
    )
    # A class that training lacks must not shift the numbers of the others.
    assert (numbers.tolist(), names) == ([3, 2], ("cat", "dog", "owl", "ant"))


def test_numeric_names_are_sorted_numerically():
    numbers, names = labels.to_class_numbers("x", np.asarray(["10", "9", "100"]))
    assert (numbers.tolist(), names) == ([1, 0, 2], ("9", "10", "100"))


def test_no_labels_means_no_classes():
    assert labels.count_classes(np.asarray([-1, -1]), None) is None
    assert labels.count_classes(np.asarray([-1, 4]), None) == 5
    assert labels.count_classes(np.zeros(0, np.int32), None) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.asarray([1.5, 2]), r"x holds 1\.5; expected whole numbers from 0, or"),
        (np.asarray([-2, 1]), r"x has values from -2 to 1; expected labels from 0"),
        (np.asarray([2**40, 0]), r"values from 0 to 1099511627776"),
        (np.asarray([1j]), r"dtype complex128; expected whole numbers"),
        ([1, "a"], r"of the types int, str; expected one whole number or one name"),
        ([[1], [2]], r"of the types list"),
    ],
)
def test_rejects_invalid_labels(values, message):
    with pytest.raises(errors.DataError, match=message):
        labels.to_class_numbers("x", values)


def test_rejects_the_option_for_sources_without_named_labels():
    labels.refuse_option("folder:x", None, reason="has none")
    with pytest.raises(
        errors.UserError, match=r"data.label='y' .* folder:x has none\."
    ):
        labels.refuse_option("folder:x", "y", reason="has none")
