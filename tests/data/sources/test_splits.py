import pytest

from simclr_jax.core import errors
from simclr_jax.data.sources import splits

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("tfds:mnist", ("tfds:mnist", None)),
        ("tfds:mnist:train", ("tfds:mnist", "train")),
        ("tfds:mnist:3.0.1", ("tfds:mnist:3.0.1", None)),
        ("tfds:mnist:3.0.1:test", ("tfds:mnist:3.0.1", "test")),
        ("tfds:mnist:train[:90%]", ("tfds:mnist", "train[:90%]")),
        ("tfds:mnist:3.0.1:train[5:]", ("tfds:mnist:3.0.1", "train[5:]")),
        ("tfds:a/b:train[:9]+test[1:2]", ("tfds:a/b", "train[:9]+test[1:2]")),
        ("hf:user/set", ("hf:user/set", None)),
        ("hf:user/set:validation", ("hf:user/set", "validation")),
        ("hf:/data/my[1]:train[:5]", ("hf:/data/my[1]", "train[:5]")),
        ("hf:/data/a:b/c", ("hf:/data/a:b/c", None)),
        ("hf:C:\\data\\set", ("hf:C:\\data\\set", None)),
        ("folder:/data/a:b", ("folder:/data/a:b", None)),
        ("synthetic:8x8x1:9", ("synthetic:8x8x1:9", None)),
        ("mnist_sample", ("mnist_sample", None)),
        ("tfds:", ("tfds:", None)),
        ("", ("", None)),
    ],
)
def test_split_spec_separates_the_split(spec, expected):
    assert splits.split_spec(spec) == expected


def test_base_splits_of_ranges_and_sums():
    assert splits.base_splits("train") == ["train"]
    assert splits.base_splits("train[:90%]+test") == ["train", "test"]


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", ("train", None)),
        ("train[:80%]", ("train", ("", "80%"))),
        ("train[12.5%:-10%]", ("train", ("12.5%", "-10%"))),
        ("test[100:]", ("test", ("100", ""))),
        ("test[:]", ("test", ("", ""))),
    ],
)
def test_name_and_bounds_separates_the_range(split, expected):
    assert splits.name_and_bounds(split) == expected


@pytest.mark.parametrize(
    "split", ["train[80%]", "train[:80%", "train[a:]", "train[:1]+test", "[:3]"]
)
def test_rejects_other_forms(split):
    with pytest.raises(
        errors.DataError, match=r"Cannot read the split .*train\[80%:\]"
    ):
        splits.name_and_bounds(split)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (("", ""), (0, 25)),
        (("", "80%"), (0, 20)),
        (("80%", ""), (20, 25)),
        (("", "50%"), (0, 12)),  # 12.5, rounded to even on both sides
        (("50%", ""), (12, 25)),
        (("-20%", ""), (20, 25)),
        (("", "-5"), (0, 20)),
        (("3", "7"), (3, 7)),
    ],
)
def test_positions_of_a_range(bounds, expected):
    assert splits.slice_rows(bounds, num_records=25) == expected


@pytest.mark.parametrize(
    "bounds", [("", "26"), ("120%", ""), ("-26", ""), ("9", "3"), ("", "-110%")]
)
def test_rejects_ranges_outside_the_split(bounds):
    with pytest.raises(errors.DataError, match=r"does not lie inside the 25 records"):
        splits.slice_rows(bounds, num_records=25)
