import numbered
import numpy as np
import pytest

from simclr_jax import data
from simclr_jax.core import errors
from simclr_jax.core.fields import Field
from simclr_jax.data import record_fields

pytestmark = pytest.mark.quick

UNLABELED = numbered.Numbered(9, num_classes=None)


def test_a_source_with_classes_has_labels():
    label = {"label": Field((), np.int32)}
    assert data.available_fields(numbered.Numbered(9)) == label
    assert data.available_fields(UNLABELED) == {}
    worded = data.open_images(numbered.Worded(9), canvas=8)
    assert data.available_fields(worded) == label | {"text": Field((3,), np.int32)}


def test_arrays_may_have_any_field(rng):
    images = rng.integers(0, 256, (6, 4, 5, 1), dtype=np.uint8)
    arrays = {"text": np.arange(12).reshape(6, 2), "age": np.ones(6, np.float32)}
    source = data.ArraySource(
        "mine", images, np.full(6, -1, np.int32), None, arrays=arrays
    )
    assert data.available_fields(source) == {
        "text": Field((2,), np.int64),
        "age": Field((), np.float32),
    }
    samples = source.read([4, 1])
    np.testing.assert_array_equal(samples["fields"]["text"], [(8, 9), (2, 3)])
    np.testing.assert_array_equal(source.__getitems__([4])[0]["text"], (8, 9))


def test_classes_have_names_or_numbers(tmp_path):
    assert data.class_names(numbered.Numbered(9)) == ("0", "1", "2", "3", "4")
    assert data.class_names(UNLABELED) == ()
    images = np.zeros((2, 4, 4, 1), np.uint8)
    np.savez(tmp_path / "x.npz", x=images, y=np.asarray(["dog", "cat"]))
    named = data.open_source(f"arrays:{tmp_path}/x.npz")
    assert data.class_names(data.open_images(named)) == ("cat", "dog")


def test_missing_labels_raise_an_error():
    with pytest.raises(
        errors.DataError, match=r"numbered has no field 'label'"
    ) as info:
        record_fields.check_fields(UNLABELED, ("image", "label"))
    message = str(info.value)
    assert "it has: image. Give labels (one folder for each class" in message
    assert "simclr" in message
    assert "\n" not in message


def test_other_missing_fields_raise_an_error():
    with pytest.raises(
        errors.DataError, match=r"'text'.*it has: image, label\. Choose"
    ):
        record_fields.check_fields(numbered.Numbered(9), ("image", "text"))


def test_rejects_a_field_named_image():
    images = type("Twice", (), {"name": "twice", "fields": {"image": Field((), "u1")}})
    with pytest.raises(errors.UserError, match=r"twice describes 'image'"):
        record_fields.extra_fields(images)


def test_records_must_match_the_description_of_the_source(monkeypatch):
    monkeypatch.setattr(numbered, "text_of", lambda index: np.zeros(4, np.int32))
    images = data.open_images(numbered.Worded(9), canvas=8)
    with pytest.raises(
        errors.DataError, match=r"numbered/2.png.*'text' has shape \[4\]"
    ):
        images.read([2])


def test_digests_depend_on_labels(rng):
    images = rng.integers(0, 256, (6, 4, 5, 1), dtype=np.uint8)

    def digests(labels):
        source = data.ArraySource("mine", images, np.asarray(labels, np.int32), 3)
        return record_fields.digests_of(source, ("image", "label"))

    assert digests([0, 1, 2, 0, 1, 2]) == digests([0, 1, 2, 0, 1, 2])
    assert digests([0, 1, 2, 0, 1, 2]) != digests([0, 1, 2, 0, 1, 1])
    assert list(digests([0] * 6)) == ["label"]


def test_decoding_keeps_the_digests():
    images = data.open_images(numbered.Worded(9, corrupt=(3,)), canvas=8)
    names = ("image", "label", "text")
    decoded = data.read_all(images)
    assert record_fields.digests_of(images, names) == {"label": "label", "text": "text"}
    assert record_fields.digests_of(decoded, names) == {
        "label": "label",
        "text": "text",
    }
