import pathlib
import shutil

import image_bytes
import pytest
import tiny_hugging_face

from simclr_jax import data
from simclr_jax.core import errors
from simclr_jax.data.sources import hugging_face

datasets = pytest.importorskip("datasets")

no_network = pytest.fixture(autouse=True)(tiny_hugging_face.no_network)
saved = pytest.fixture(tiny_hugging_face.saved)


def test_reads_a_saved_data_set_with_several_splits(saved):
    source = data.open_source(saved)
    assert image_bytes.values(source) == list(range(10))
    assert image_bytes.labels(source) == [n % 3 for n in range(10)]
    assert (source.image_shape, source.num_classes) == (None, 3)
    assert source.title_of(7) == "row 7"
    assert source.__getitems__([3])[0]["image"] == image_bytes.encode(3)
    test = data.open_source(saved, split="test")
    assert image_bytes.values(test) == [50, 51]
    image_bytes.check_source(source)


def test_reads_parts_of_splits(saved):
    def read(split):
        return image_bytes.values(data.open_source(f"{saved}:{split}"))

    assert read("test") == [50, 51]
    assert read("train[:20%]") == [0, 1]
    assert read("train[8:]+test[:1]") == [8, 9, 50]
    image_bytes.check_source(data.open_source(f"{saved}:train[8:]+test"))
    with pytest.raises(
        errors.DataError, match=r"'trian'. Did you mean 'train'\? Choices"
    ):
        read("trian")
    with pytest.raises(
        errors.DataError, match=r"Unknown split .*'val'.*: test, train."
    ):
        read("train+val[:5]")
    with pytest.raises(errors.DataError, match=r"cannot read the split 'train\[x"):
        read("train[x:]")
    with pytest.raises(errors.DataError, match=r"no rows in its split 'train\[:0\]'"):
        read("train[:0]")


def test_reads_a_data_set_saved_without_splits(tmp_path):
    spec = tiny_hugging_face.save(tiny_hugging_face.make(range(4)), tmp_path / "alone")
    assert image_bytes.values(data.open_source(spec)) == [0, 1, 2, 3]
    with pytest.raises(errors.DataError, match=r"Unknown split .*Choices: train"):
        data.open_source(spec, split="test")


def test_name_depends_on_contents_not_location(saved, tmp_path):
    first = data.open_source(saved).name
    shutil.copytree(tmp_path / "set", tmp_path / "else" / "where")
    assert first == data.open_source(f"hf:{tmp_path}/else/where").name
    assert first.startswith("hf:train@")
    assert len(first.partition("@")[2]) == 12
    other = tiny_hugging_face.save(
        tiny_hugging_face.make(range(9, -1, -1)), tmp_path / "other"
    )
    names = {first, data.open_source(other).name}
    names.add(data.open_source(f"{saved}:train[:5]").name)
    names.add(data.open_source(f"{saved}:test").name)
    assert len(names) == 4


@pytest.mark.parametrize(
    ("column", "labels"),
    [("img", "fine_label"), ("picture", "species"), ("image", "labels")],
)
def test_finds_columns_by_type(tmp_path, column, labels):
    spec = tiny_hugging_face.save(
        tiny_hugging_face.make(range(5), column=column, labels=labels), tmp_path / "set"
    )
    source = data.open_source(spec)
    assert (source.image_column, source.label_column) == (column, labels)
    assert image_bytes.labels(source) == [0, 1, 2, 0, 1]


def test_prefers_the_usual_columns(tmp_path):
    stored = tiny_hugging_face.make(range(3), labels="coarse_label")
    stored = stored.add_column("label", [0, 1, 1])
    stored = stored.cast_column("label", datasets.ClassLabel(num_classes=2))
    stored = stored.rename_columns({"image": "depth"})
    column = [{"bytes": image_bytes.encode(n + 90), "path": None} for n in range(3)]
    stored = stored.add_column("img", column).cast_column("img", datasets.Image())
    source = data.open_source(tiny_hugging_face.save(stored, tmp_path / "set"))
    assert image_bytes.values(source) == [90, 91, 92]
    assert (image_bytes.labels(source), source.num_classes) == ([0, 1, 1], 2)


def test_reads_labels_that_are_numbers_or_missing(tmp_path):
    kind = datasets.Value("int64")
    source = data.open_source(
        tiny_hugging_face.save(
            tiny_hugging_face.make(range(5), label=kind), tmp_path / "numbers"
        )
    )
    assert (source.num_classes, image_bytes.labels(source)[:3]) == (3, [0, 1, 2])
    source = data.open_source(
        tiny_hugging_face.save(
            tiny_hugging_face.make(range(5), labels=None), tmp_path / "none"
        )
    )
    assert source.num_classes is None
    assert image_bytes.labels(source) == [-1] * 5
    stored = (
        tiny_hugging_face.make(range(3))
        .remove_columns("label")
        .add_column("label", [0, None, 2])
    )
    stored = stored.cast_column("label", datasets.ClassLabel(num_classes=3))
    source = data.open_source(tiny_hugging_face.save(stored, tmp_path / "gaps"))
    assert image_bytes.labels(source) == [0, -1, 2]


@pytest.mark.parametrize("column", ["label", "species"])
def test_reads_labels_that_are_names(tmp_path, column):
    kind = datasets.Value("string")
    by_split = {}
    for split, names in (("train", ["owl", "cat", None]), ("test", ["owl", "owl", ""])):
        stored = tiny_hugging_face.make(range(3), labels=None)
        stored = stored.add_column(column, names)
        by_split[split] = stored.cast_column(column, kind)
    spec = tiny_hugging_face.save(datasets.DatasetDict(by_split), tmp_path / "set")
    label = None if column == "label" else column
    for split, expected in (("train", [1, 0, -1]), ("test", [1, 1, -1])):
        source = data.open_source(spec, split=split, label=label)
        assert image_bytes.labels(source) == expected
        assert (source.num_classes, source.class_names) == (2, ("cat", "owl"))
        image_bytes.check_source(source)


def test_label_selects_the_column(tmp_path):
    stored = tiny_hugging_face.make(range(3)).add_column("grade", [4, None, 0])
    spec = tiny_hugging_face.save(stored, tmp_path / "set")
    source = data.open_source(spec, label="grade")
    assert image_bytes.labels(source) == [4, -1, 0]
    assert (source.num_classes, source.label_column) == (5, "grade")
    assert data.open_source(spec).class_names == ("a", "b", "c")
    with pytest.raises(errors.DataError, match=r"label column.*'grad'.*mean 'grade'"):
        data.open_source(spec, label="grad")
    with pytest.raises(errors.DataError, match=r"column 'image', holds values of the"):
        data.open_source(spec, label="image")


def test_reads_images_in_separate_files(tmp_path):
    (tmp_path / "1.png").write_bytes(image_bytes.encode(77))
    kinds = datasets.Features({"image": datasets.Image()})
    rows = {"image": [{"bytes": None, "path": str(tmp_path / "1.png")}, None]}
    stored = datasets.Dataset.from_dict(rows, features=kinds)
    source = hugging_face.HuggingFaceSource(
        name="hf:x",
        rows=stored.cast_column("image", datasets.Image(decode=False)),
        image_column="image",
        label_column=None,
        num_classes=None,
    )
    first, second = source.__getitems__([0, 1])
    assert image_bytes.decode(first["image"]) == 77
    assert second["image"] == b""
    (tmp_path / "1.png").unlink()
    with pytest.raises(
        errors.DataError, match=r"image of row 0, .*1.png'.*No such file"
    ):
        source.__getitems__([0])


def test_home_folder(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(data.open_source("hf:~/set:test")) == 2


def test_rejects_data_sets_without_images(tmp_path):
    stored = datasets.Dataset.from_dict({"text": ["a"], "label": [1]})
    with pytest.raises(
        errors.DataError,
        match=r"no column of images; its columns: text \(Value\), label",
    ):
        data.open_source(tiny_hugging_face.save(stored, tmp_path / "text"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.DataError, match=r"empty cannot be read.*save_to_disk"):
        data.open_source(f"hf:{tmp_path}/empty")
    spec = tiny_hugging_face.save(tiny_hugging_face.make(range(4)), tmp_path / "cut")
    (file,) = pathlib.Path(tmp_path, "cut").glob("*.arrow")
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(errors.DataError, match=r"cut cannot be read"):
        data.open_source(spec)
