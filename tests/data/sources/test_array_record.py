import sys

import image_bytes
import pytest

from simclr_jax import data
from simclr_jax.core import errors
from simclr_jax.data.sources import array_record

module = pytest.importorskip("array_record.python.array_record_module")


def write(path, records):
    writer = module.ArrayRecordWriter(str(path), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()
    return path


def example(**features):
    """Returns a serialized tf.train.Example; ``__`` in a name stands for a slash."""
    from tensorflow_datasets.proto import tf_example_pb2

    made = tf_example_pb2.Example()
    for name, value in features.items():
        feature = made.features.feature[name.replace("__", "/")]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        else:
            feature.int64_list.value.append(value)
    return made.SerializeToString()


@pytest.fixture
def shards(tmp_path):
    """Returns the folder of three shards of image files."""
    for shard in range(3):
        records = [image_bytes.encode(10 * shard + i) for i in range(3 + shard)]
        write(tmp_path / f"train-{shard}.array_record", records)
    write(tmp_path / "test-0.array_record", [image_bytes.encode(99)])
    return tmp_path


def test_reads_image_files(shards):
    source = data.open_source(f"arrayrecord:{shards}/train-*")
    expected = [0, 1, 2, 10, 11, 12, 13, 20, 21, 22, 23, 24]
    assert image_bytes.values(source) == expected
    assert image_bytes.labels(source) == [-1] * 12
    assert (source.image_shape, source.num_classes) == (None, None)
    assert source.title_of(2) == "train-0.array_record, record 2"
    assert source.title_of(3) == "train-1.array_record, record 0"
    assert source.title_of(11) == "train-2.array_record, record 4"
    image_bytes.check_source(source)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_recognizes_every_image_format(tmp_path, form):
    encoded = image_bytes.encode(5, form=form)
    write(tmp_path / "x.array_record", [encoded])
    source = data.open_source(f"arrayrecord:{tmp_path}/x.array_record")
    assert source.__getitems__([0])[0]["image"] == encoded


@pytest.mark.parametrize(
    ("image", "label"),
    [("image", "label"), ("image__encoded", "image__class__label")],
)
def test_reads_examples(tmp_path, image, label):
    records = [
        example(**{image: image_bytes.encode(i), label: i % 4, "id": b"x"})
        for i in range(10)
    ]
    write(tmp_path / "x.array_record", records)
    source = data.open_source(f"arrayrecord:{tmp_path}/x.array_record")
    assert image_bytes.values(source) == list(range(10))
    assert image_bytes.labels(source) == [i % 4 for i in range(10)]
    assert source.num_classes == 4
    image_bytes.check_source(source)


def test_reads_examples_without_labels(tmp_path):
    records = [example(image=image_bytes.encode(i), label=b"cat") for i in range(3)]
    write(tmp_path / "x.array_record", records)
    source = data.open_source(f"arrayrecord:{tmp_path}/x.array_record")
    assert source.num_classes is None
    assert image_bytes.labels(source) == [-1] * 3


def test_label_selects_the_feature(tmp_path):
    records = [example(image=image_bytes.encode(i), label=1, grade=i) for i in range(3)]
    write(tmp_path / "x.array_record", records)
    spec = f"arrayrecord:{tmp_path}/x.array_record"
    source = data.open_source(spec, label="grade")
    assert image_bytes.labels(source) == [0, 1, 2]
    image_bytes.check_source(source)
    match = r"no label in the feature 'grad'.*grade"
    with pytest.raises(errors.DataError, match=match):
        data.open_source(spec, label="grad")


def test_classes_are_counted_on_request(tmp_path, monkeypatch):
    monkeypatch.setattr(array_record, "_CHUNK", 3)
    records = [example(image=image_bytes.encode(i), label=i) for i in range(10)]
    write(tmp_path / "x.array_record", records)
    path = f"{tmp_path}/x.array_record"
    source = array_record.open_array_record(path, split="train")
    assert "num_classes" not in vars(source)
    assert source.num_classes == 10


def test_a_record_without_an_image_has_no_bytes(tmp_path):
    good = example(image=image_bytes.encode(1), label=2)
    records = [good, example(label=1), b"\xff no protobuf", good]
    write(tmp_path / "x.array_record", records)
    source = data.open_source(f"arrayrecord:{tmp_path}/x.array_record")
    read = source.__getitems__(range(4))
    assert [len(record["image"]) > 0 for record in read] == [True, False, False, True]
    assert [record["label"] for record in read] == [2, 1, -1, 2]


def test_reads_files_written_by_tfds(data_dir):
    source = data.open_source(f"arrayrecord:{data_dir}/mnist/3.0.1/mnist-{{split}}.*")
    assert len(source) == 60_000
    records = source.__getitems__(range(5))
    by_tfds = data.open_source("tfds:mnist", data_dir=data_dir)
    assert records == by_tfds.__getitems__(range(5))


def test_splits(shards):
    spec = f"arrayrecord:{shards}/{{split}}-*"
    assert len(data.open_source(spec)) == 12
    assert image_bytes.values(data.open_source(spec, split="test")) == [99]
    with pytest.raises(errors.DataError, match=r"Unknown split 'test'.*Choices: train"):
        data.open_source(f"arrayrecord:{shards}/train-*", split="test")


def test_name_depends_on_contents_not_location(shards, tmp_path):
    first = data.open_source(f"arrayrecord:{shards}/train-*").name
    (tmp_path / "else").mkdir()
    for path in shards.glob("train-*"):
        path.rename(tmp_path / "else" / path.name)
    spec = f"arrayrecord:{tmp_path}/else/train-*"
    assert first == data.open_source(spec).name
    assert first.startswith("arrayrecord:train@")
    path = tmp_path / "else" / "train-2.array_record"
    write(path, [image_bytes.encode(i) for i in range(100)])
    assert first != data.open_source(spec).name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b"\x93NUMPY something else", r"begins with b'.x93NUMPY.*none"),
        (lambda: example(label=3, id=b"x"), r"features found: id, label. Write"),
        (lambda: example(image=b"raw pixels"), r"one in image or image/encoded"),
        (lambda: example(image=3), r"neither an image file nor a tf.train.Example"),
        (lambda: b"", r"features found: none"),
    ],
)
def test_rejects_records_without_an_image(tmp_path, make, message):
    write(tmp_path / "x.array_record", [make()])
    with pytest.raises(errors.DataError, match=message):
        data.open_source(f"arrayrecord:{tmp_path}/x.array_record")


def test_rejects_other_files(tmp_path):
    with pytest.raises(errors.DataError, match=r"no file matches"):
        data.open_source(f"arrayrecord:{tmp_path}/*")
    path = write(tmp_path / "x.array_record", [])
    with pytest.raises(errors.DataError, match=r"no records in its 1 files"):
        data.open_source(f"arrayrecord:{path}")
    write(path, [image_bytes.encode(i) for i in range(9)])
    whole = path.read_bytes()
    cuts = [whole[:length] for length in (0, 100, 2**16 - 1, 2**16, 2**16 + 1, -100)]
    for content in (*cuts, b"something else" * 10_000):
        path.write_bytes(content)
        with pytest.raises(
            errors.DataError, match=r"x.array_record' cannot be read as"
        ):
            data.open_source(f"arrayrecord:{path}")


def test_accepts_an_empty_shard(shards):
    write(shards / "train-1.array_record", [])
    source = data.open_source(f"arrayrecord:{shards}/train-*")
    assert image_bytes.values(source) == [0, 1, 2, 20, 21, 22, 23, 24]
    assert source.title_of(3) == "train-2.array_record, record 0"


def test_a_damaged_record_is_named(tmp_path, rng):
    # Noise is not compressed, so that each record takes up bytes of its own.
    head = image_bytes.encode(0)
    records = [head + rng.bytes(5000) for _ in range(40)]
    path = write(tmp_path / "x.array_record", records)
    source = data.open_source(f"arrayrecord:{path}")
    content = bytearray(path.read_bytes())
    place = content.find(records[20][1000:1100])
    content[place] ^= 255
    path.write_bytes(content)
    with pytest.raises(errors.DataError, match=r"x.array_record, record 20, cannot be"):
        source.__getitems__(range(40))
    assert source.__getitems__([5])[0]["image"] == records[5]


def test_without_the_package_the_error_names_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "x.array_record").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "array_record.python", None)
    expected = "need the package array_record .* Linux and macOS; elsewhere use another"
    with pytest.raises(errors.DataError, match=expected):
        data.open_source(f"arrayrecord:{tmp_path}/x.array_record")
    with pytest.raises(errors.DataError, match=expected):
        data.open_source("tfds:mnist")
