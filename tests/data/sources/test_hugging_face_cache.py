import importlib
import json
import logging
import shutil
import sys

import image_bytes
import pytest
import tiny_hugging_face

from simclr_jax import data
from simclr_jax.core import errors

datasets = pytest.importorskip("datasets")

no_network = pytest.fixture(autouse=True)(tiny_hugging_face.no_network)
saved = pytest.fixture(tiny_hugging_face.saved)


def put_in_cache(tmp_path, numbers, *, config):
    """Leaves in the cache what load_dataset("someone/tiny", config) leaves there."""
    (tmp_path / "set").mkdir(exist_ok=True)
    tiny_hugging_face.make(numbers).to_parquet(str(tmp_path / "set" / "train.parquet"))
    datasets.load_dataset(str(tmp_path / "set"), cache_dir=str(tmp_path / "made"))
    ((made),) = tmp_path.glob("made/set/default/0.0.0/*/")
    (made / "set-train.arrow").rename(made / "tiny-train.arrow")
    info = json.loads((made / "dataset_info.json").read_text())
    info.update(config_name=config, dataset_name="tiny")
    (made / "dataset_info.json").write_text(json.dumps(info))
    folder = tmp_path / "cache" / "someone___tiny" / config / "0.0.0"
    folder.mkdir(parents=True)
    made.rename(folder / ("0" * 40))
    shutil.rmtree(tmp_path / "made")


def test_reads_a_cached_data_set(tmp_path):
    put_in_cache(tmp_path, range(5), config="default")
    source = data.open_source("hf:someone/tiny")
    assert image_bytes.values(source) == list(range(5))
    assert source.name.startswith("hf:someone/tiny:train@")
    assert image_bytes.values(data.open_source("hf:someone/tiny:train[1:3]")) == [1, 2]
    image_bytes.check_source(source)
    put_in_cache(tmp_path, range(3), config="small")
    assert len(data.open_source("hf:someone/tiny/small")) == 3
    with pytest.raises(
        errors.DataError, match=r"load_dataset\('someone/tiny', 'big'\)"
    ):
        data.open_source("hf:someone/tiny/big")


@pytest.mark.parametrize("name", ["/nowhere/set", "~/set", "./set", "a/b/c/d"])
def test_a_missing_folder_raises_an_error(name):
    with pytest.raises(errors.DataError, match=r"is missing. Expected a folder, or"):
        data.open_source(f"hf:{name}")


@pytest.mark.parametrize("name", ["nobody/nothing", "nothing"])
def test_a_missing_data_set_names_the_download_command(name):
    with pytest.raises(
        errors.DataError, match=r"neither a folder here nor in the"
    ) as e:
        data.open_source(f"hf:{name}")
    assert f"datasets.load_dataset('{name}')" in str(e.value)


def test_without_the_package_the_error_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(errors.DataError, match=r"pip install \"simclr_jax\[hf\]\""):
        data.open_source("hf:x")


def test_is_quiet_and_restores_the_settings(saved, capfd, monkeypatch):
    constants = importlib.import_module("huggingface_hub.constants")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    datasets.enable_progress_bars()
    datasets.logging.set_verbosity(logging.WARNING)
    data.open_source(f"{saved}:train[:5]+test").__getitems__([0])
    with pytest.raises(errors.DataError):
        data.open_source("hf:nobody/nothing")
    assert not datasets.config.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE
    assert not datasets.are_progress_bars_disabled()
    assert datasets.logging.get_verbosity() == logging.WARNING
    assert capfd.readouterr() == ("", "")


def test_reads_a_folder_of_images(tmp_path):
    for split, count in (("train", 6), ("test", 2)):
        for number in range(count):
            path = tmp_path / "photos" / split / "ab"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image_bytes.encode(number))
    source = data.open_source(f"hf:{tmp_path}/photos")
    assert sorted(image_bytes.values(source)) == list(range(6))
    assert source.num_classes == 2
    assert len(data.open_source(f"hf:{tmp_path}/photos:test")) == 2
    image_bytes.check_source(source)


def test_parquet_files(tmp_path):
    (tmp_path / "set").mkdir()
    tiny_hugging_face.make(range(5)).to_parquet(
        str(tmp_path / "set" / "train-00000-of-00001.parquet")
    )
    source = data.open_source(f"hf:{tmp_path}/set")
    assert image_bytes.values(source) == list(range(5))
    assert source.num_classes == 3
