import image_bytes
import pytest

from simclr_jax import data
from simclr_jax.core import errors
from simclr_jax.data.sources import tfds_source


@pytest.fixture(scope="module")
def tiny_dir(tmp_path_factory):
    """Prepares some small sets, as TFDS does, and returns their folder."""
    tfds = pytest.importorskip("tensorflow_datasets")
    root = tmp_path_factory.mktemp("tfds")

    def prepare(name, features, records, *, config=None):
        make_config = tfds.core.BuilderConfig

        class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
            VERSION = tfds.core.Version("1.2.0")
            BUILDER_CONFIGS = [make_config(name=config)] if config else []

            def _info(self):
                return tfds.core.DatasetInfo(
                    builder=self, features=tfds.features.FeaturesDict(features)
                )

            def _split_generators(self, manager):
                parts = {"train": records, "test": records[:1]}
                return {key: self._generate_examples(p) for key, p in parts.items()}

            def _generate_examples(self, rows):
                yield from enumerate(rows)

        Tiny.name = name
        builder = Tiny(data_dir=str(root), file_format="array_record", config=config)
        builder.download_and_prepare()

    color = tfds.features.Image(shape=(None, None, 3), encoding_format="png")
    images = [image_bytes.encode(i, side=4 + i) for i in range(6)]
    labeled = [{"image": image, "label": i % 3} for i, image in enumerate(images)]
    classes = tfds.features.ClassLabel(num_classes=3)
    prepare("sizes", {"image": color, "label": classes}, labeled)
    prepare("parts", {"image": color, "label": classes}, labeled, config="big")
    text = [{"image": image, "label": "cat"} for image in images]
    prepare("texts", {"image": color, "label": tfds.features.Text()}, text)
    prepare("words", {"label": tfds.features.Text()}, [{"label": "cat"}] * 2)
    alpha = tfds.features.Image(shape=(4, 4, 4), encoding_format="png")
    prepare("alpha", {"image": alpha}, [{"image": images[0]}] * 2)
    return str(root)


def test_reads_mnist(data_dir):
    source = data.open_source("tfds:mnist", split="test", data_dir=data_dir)
    assert source.name == "tfds:mnist/3.0.1:test"
    assert len(source) == 10_000
    assert source.image_shape == (28, 28, 1)
    assert source.num_classes == 10
    first, last = source.__getitems__([0, 9_999])
    assert first["image"].startswith(b"\x89PNG")
    assert last["label"] in range(10)
    assert source.title_of(7) == "record 7"
    image_bytes.check_source(data.open_source("tfds:cifar10", data_dir=data_dir))


def test_reading_needs_no_tensorflow(data_dir):
    import sys

    data.open_source("tfds:mnist", split="test", data_dir=data_dir).__getitems__([0])
    assert "tensorflow" not in sys.modules


def test_reads_parts_of_splits(data_dir):
    def number_of(spec):
        return len(data.open_source(f"tfds:mnist:{spec}", data_dir=data_dir))

    assert number_of("test[:100]") == 100
    assert number_of("3.0.1:train[:90%]") == 54_000
    assert number_of("train[:10]+test[5:10]") == 15
    assert number_of("all") == 70_000
    assert number_of("3.0.1") == 60_000


def test_reads_images_of_many_sizes(tiny_dir):
    source = data.open_source("tfds:sizes", data_dir=tiny_dir)
    assert source.image_shape is None
    assert source.num_classes == 3
    assert sorted(image_bytes.values(source)) == list(range(6))
    for record in source.__getitems__(range(6)):
        assert record["label"] == image_bytes.decode(record["image"]) % 3
    image_bytes.check_source(source)


def test_reads_a_data_set_with_configs(tiny_dir):
    source = data.open_source("tfds:parts/big", data_dir=tiny_dir)
    assert source.name == "tfds:parts/big/1.2.0:train"
    assert len(data.open_source("tfds:parts/big:1.2.0:test", data_dir=tiny_dir)) == 1
    with pytest.raises(
        errors.DataError, match=r"'parts/bgi'. Did you mean 'parts/big'"
    ):
        data.open_source("tfds:parts/bgi", data_dir=tiny_dir)
    with pytest.raises(errors.DataError, match=r"parts/big, sizes"):
        data.open_source("tfds:parts", data_dir=tiny_dir)


def test_ignores_labels_that_are_not_class_labels(tiny_dir):
    source = data.open_source("tfds:texts", data_dir=tiny_dir)
    assert source.num_classes is None
    assert image_bytes.labels(source) == [-1] * 6


def test_label_selects_the_feature(tiny_dir):
    source = data.open_source("tfds:sizes", data_dir=tiny_dir, label="label")
    assert source.num_classes == 3
    assert source.class_names == ("0", "1", "2")
    with pytest.raises(errors.DataError, match=r"'fine' .* ClassLabel: label\."):
        data.open_source("tfds:sizes", data_dir=tiny_dir, label="fine")
    with pytest.raises(errors.DataError, match=r"'label' .* ClassLabel: none\."):
        data.open_source("tfds:texts", data_dir=tiny_dir, label="label")


def test_rejects_data_sets_without_readable_images(tiny_dir):
    with pytest.raises(
        errors.DataError, match=r"words has no feature 'image' of the ty"
    ):
        data.open_source("tfds:words", data_dir=tiny_dir)
    with pytest.raises(
        errors.DataError, match=r"images of 4 channels; expected 1 or 3"
    ):
        data.open_source("tfds:alpha", data_dir=tiny_dir)


def test_rejects_other_file_formats(tiny_dir, tmp_path):
    import json
    import pathlib
    import shutil

    shutil.copytree(tiny_dir, tmp_path / "copy")
    path = pathlib.Path(tmp_path, "copy", "sizes", "1.2.0", "dataset_info.json")
    info = json.loads(path.read_text())
    path.write_text(json.dumps({**info, "fileFormat": "tfrecord"}))
    with pytest.raises(
        errors.DataError, match=r"cannot be read at random.*array_record"
    ):
        data.open_source("tfds:sizes", data_dir=str(tmp_path / "copy"))


def test_raises_an_error_for_damaged_files(tiny_dir, tmp_path):
    import pathlib
    import shutil

    shutil.copytree(tiny_dir, tmp_path / "copy")
    folder = pathlib.Path(tmp_path, "copy", "sizes", "1.2.0")
    (shard,) = folder.glob("*train*")
    whole = shard.read_bytes()
    for length in (100, 2**16, len(whole) - 100):
        shard.write_bytes(whole[:length])
        source = data.open_source("tfds:sizes", data_dir=str(tmp_path / "copy"))
        with pytest.raises(
            errors.DataError, match=r"records 0, 3, ... cannot be read: "
        ):
            source.__getitems__([0, 3])
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(
        errors.DataError, match=r"what describes the set in .*cannot be"
    ):
        data.open_source("tfds:sizes", data_dir=str(tmp_path / "copy"))


@pytest.mark.parametrize("split", ["train[:0]", "train[:x]", "train[200%:]"])
def test_rejects_invalid_parts_of_a_split(tiny_dir, split):
    with pytest.raises(errors.DataError, match=r"tfds:sizes.* the split 'train\["):
        data.open_source("tfds:sizes", split=split, data_dir=tiny_dir)


def test_a_missing_data_set_names_the_prepare_command(data_dir):
    with pytest.raises(
        errors.DataError, match=r"not prepared.*Did you mean 'mnist'"
    ) as e:
        data.open_source("tfds:mnits", data_dir=data_dir)
    assert "download_and_prepare" in str(e.value)
    with pytest.raises(
        errors.DataError, match=r"'mnist:9.9.9' is not|mnist:9.9.9 is no"
    ):
        data.open_source("tfds:mnist:9.9.9", data_dir=data_dir)
    for split in ("trian", "train+trian[:5]"):
        with pytest.raises(
            errors.DataError, match=r"split of 'mnist': 'trian'.*mean 'train'"
        ):
            data.open_source("tfds:mnist", split=split, data_dir=data_dir)


def test_a_missing_folder_raises_an_error():
    with pytest.raises(errors.DataError, match=r"data_dir '/nowhere' is not a folder"):
        data.open_source("tfds:mnist", data_dir="/nowhere")


def test_home_folder(tiny_dir, monkeypatch):
    monkeypatch.setenv("HOME", tiny_dir)
    assert len(data.open_source("tfds:sizes", data_dir="~")) == 6


def test_opens_the_newest_version():
    key = tfds_source._version_key
    assert max(["3.0.1", "10.0.0", "3.1.0"], key=key) == "10.0.0"
