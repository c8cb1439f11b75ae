import subprocess
import sys

import image_bytes
import numpy as np
import pytest

from simclr_jax import data
from simclr_jax.core import errors
from simclr_jax.data import opening


def test_known_kinds():
    assert len(data.open_source("mnist_sample")) == 4000
    assert len(data.open_source("synthetic:4x4x1:12", split="test")) == 12


@pytest.mark.parametrize(
    "spec",
    [
        "mnits_sample",
        "mnist_sample:test",
        "tfds",
        "tfds:",
        "folder:",
        "arrays",
        "webdataset:",
        "hf:",
        "ftp:/data",
        "",
    ],
)
def test_unknown_kind_lists_the_choices(spec):
    with pytest.raises(
        errors.DataError, match=r"Unknown data source.*mnist_sample"
    ) as e:
        data.open_source(spec)
    kinds = ("synthetic:", "folder:PATH", "tfds:NAME[", "arrays:", "arrayrecord:GLOB")
    for kind in (*kinds, "webdataset:GLOB", "hf:NAME_OR_PATH"):
        assert kind in str(e.value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("photos", "folder"),
        ("x.npz", "arrays"),
        ("x.NPY", "arrays"),
        ("x.tar", "webdataset"),
        ("x.array_record", "arrayrecord"),
    ],
)
def test_a_path_without_its_kind(tmp_path, monkeypatch, name, kind):
    (tmp_path / "photos").mkdir()
    (tmp_path / name).exists() or (tmp_path / name).touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (str(tmp_path / name), f"~/{name}"):
        with pytest.raises(errors.DataError, match=rf"did you mean '{kind}:{path}'\?"):
            data.open_source(path)


def test_a_file_of_no_kind(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(errors.DataError, match=r"^Unknown data source"):
        data.open_source(str(tmp_path / "notes.txt"))


def test_a_split_in_the_name_wins(data_dir):
    source = data.open_source("tfds:mnist:test[:7]", split="train", data_dir=data_dir)
    assert len(source) == 7
    assert source.name == "tfds:mnist/3.0.1:test[:7]"


def test_a_path_may_hold_a_colon(tmp_path):
    (tmp_path / "a:b").mkdir()
    (tmp_path / "a:b" / "1.png").write_bytes(image_bytes.encode(3))
    np.save(tmp_path / "a:b" / "x.npy", np.zeros((2, 3, 3), np.uint8))
    assert image_bytes.values(data.open_source(f"folder:{tmp_path}/a:b")) == [3]
    assert len(data.open_source(f"arrays:{tmp_path}/a:b/x.npy")) == 2


def test_every_kind_is_listed():
    listed = {kind.partition(":")[0] for kind in opening._KINDS}
    assert listed == {
        *opening._OPENERS,
        *opening._LABELED_OPENERS,
        "arrays",
        "mnist_sample",
        "tfds",
    }


@pytest.mark.parametrize("spec", ["mnist_sample", "synthetic:4x4x1:9", "folder:/x"])
def test_a_source_without_a_choice_of_labels(spec):
    with pytest.raises(errors.UserError, match=rf"data.label='y'.*{spec} has"):
        data.open_source(spec, label="y")


def test_opening_imports_nothing_heavy():
    script = (
        "import sys, types, pathlib, simclr_jax\n"
        # The room itself imports jax, for the devices.
        "room = types.ModuleType('simclr_jax.data')\n"
        "room.__path__ = [str(pathlib.Path(simclr_jax.__file__).parent / 'data')]\n"
        "sys.modules['simclr_jax.data'] = room\n"
        "import simclr_jax.data.opening\n"
        "heavy = {'jax', 'flax', 'PIL', 'datasets', 'array_record', 'webdataset',"
        " 'tensorflow_datasets', 'tensorflow', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
