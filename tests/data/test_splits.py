import pytest

from simclr_jax.data import splits

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
def test_a_split_is_taken_off(spec, expected):
    assert splits.split_spec(spec) == expected


def test_splits_that_parts_belong_to():
    assert splits.base_splits("train") == ["train"]
    assert splits.base_splits("train[:90%]+test") == ["train", "test"]
