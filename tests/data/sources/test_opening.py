import subprocess
import sys
import tarfile

import image_bytes
import numpy as np
import pytest

from simclr_jax import data
from simclr_jax.core import errors
from simclr_jax.data.sources import opening


def test_opens_every_kind():
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
def test_suggests_a_kind_for_a_path(tmp_path, monkeypatch, name, kind):
    (tmp_path / "photos").mkdir()
    (tmp_path / name).exists() or (tmp_path / name).touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (str(tmp_path / name), f"~/{name}"):
        with pytest.raises(errors.DataError, match=rf"did you mean '{kind}:{path}'\?"):
            data.open_source(path)


def test_rejects_files_of_unknown_kind(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(errors.DataError, match=r"^Unknown data source"):
        data.open_source(str(tmp_path / "notes.txt"))


def test_a_split_in_the_name_takes_precedence(data_dir):
    source = data.open_source("tfds:mnist:test[:7]", split="train", data_dir=data_dir)
    assert len(source) == 7
    assert source.name == "tfds:mnist/3.0.1:test[:7]"


def test_a_path_may_contain_a_colon(tmp_path):
    (tmp_path / "a:b").mkdir()
    (tmp_path / "a:b" / "1.png").write_bytes(image_bytes.encode(3))
    np.save(tmp_path / "a:b" / "x.npy", np.zeros((2, 3, 3), np.uint8))
    assert image_bytes.values(data.open_source(f"folder:{tmp_path}/a:b")) == [3]
    assert len(data.open_source(f"arrays:{tmp_path}/a:b/x.npy")) == 2


def test_every_kind_is_listed():
    listed = {kind.partition(":")[0] for kind in opening._KINDS}
    assert listed == set(opening.SOURCES)


@pytest.mark.parametrize("spec", ["mnist_sample", "synthetic:4x4x1:9", "folder:/x"])
def test_rejects_label_for_sources_without_named_labels(spec):
    with pytest.raises(errors.UserError, match=rf"data.label='y'.*{spec} has"):
        data.open_source(spec, label="y")


def test_opening_imports_no_heavy_packages():
    script = (
        "import sys, types, pathlib, simclr_jax\n"
        # The package itself imports jax, for the devices.
        "package = types.ModuleType('simclr_jax.data')\n"
        "package.__path__ = [str(pathlib.Path(simclr_jax.__file__).parent / 'data')]\n"
        "sys.modules['simclr_jax.data'] = package\n"
        "import simclr_jax.data.sources.opening\n"
        "heavy = {'jax', 'flax', 'PIL', 'datasets', 'array_record', 'webdataset',"
        " 'tensorflow_datasets', 'tensorflow', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, which is the home folder too."""
    folder = tmp_path.resolve() / "a b été"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("folder:pics/", "folder:{here}/pics"),
        ("folder:~/x/../pics", "folder:{here}/pics"),
        ("arrays:./x.npz", "arrays:{here}/x.npz"),
        ("arrays:~/{{split}}.npy", "arrays:{here}/{{split}}.npy"),
        ("webdataset:x-{{0..9}}.tar", "webdataset:{here}/x-{{0..9}}.tar"),
        ("arrayrecord:~/**/*", "arrayrecord:{here}/**/*"),
        ("hf:pics:train", "hf:{here}/pics:train"),
        ("hf:user/name:train[:9%]", "hf:user/name:train[:9%]"),
        ("tfds:mnist:train", "tfds:mnist:train"),
        ("mnist_sample", "mnist_sample"),
        ("synthetic:9x9x3:9", "synthetic:9x9x3:9"),
    ],
)
def test_absolute_spec_does_not_depend_on_the_working_directory(here, spec, expected):
    (here / "pics").mkdir()
    spec, expected = spec.format(), expected.format(here=here)
    assert data.absolute_spec(spec) == expected
    assert data.absolute_spec(expected) == expected


@pytest.mark.parametrize("form", ["x.npy", "~/x.npy", "link/../x.npy", "link.npy"])
@pytest.mark.parametrize("kind", ["arrays", "folder", "webdataset"])
def test_opens_every_form_of_a_path(here, kind, form):
    (here / "far" / "away").mkdir(parents=True)
    (here / "link").symlink_to("far/away")
    for folder in (here, here / "far"):
        np.save(folder / "x.npy", np.zeros((3, 4, 4), np.uint8))
        (folder / "x").mkdir()
        (folder / "x" / "1.png").write_bytes(image_bytes.encode(7))
        with tarfile.open(folder / "x.tar", "w") as tar:
            tar.add(folder / "x" / "1.png", "1.png")
    (here / "link.npy").symlink_to("x.npy")
    (here / "link.tar").symlink_to("x.tar")
    ending = {"arrays": ".npy", "folder": "", "webdataset": ".tar"}[kind]
    if kind == "folder" and form == "link.npy":
        (here / "link").unlink()
        (here / "link").symlink_to("x")
    source = data.open_source(f"{kind}:{form.replace('.npy', ending)}")
    assert len(source) == (3 if kind == "arrays" else 1)


@pytest.mark.parametrize(
    "spec",
    ["folder:gs://b/x", "arrays:s3://b/x.npz", "webdataset:gs://b/*.tar", "hf:s3://b"],
)
def test_rejects_urls(spec):
    with pytest.raises(errors.UserError, match="is a URL; expected a path"):
        data.open_source(spec)


def test_a_bucket_needs_the_gcs_extra(monkeypatch):
    monkeypatch.setattr(opening.importlib.util, "find_spec", lambda name: None)
    for given, environment in (("gs://b/tfds", ""), (None, "gs://b/tfds")):
        monkeypatch.setenv("TFDS_DATA_DIR", environment or "/nowhere")
        with pytest.raises(
            errors.DataError, match=r"'gs://b/tfds'.*simclr_jax\[gcs\]"
        ) as e:
            data.open_source("tfds:mnist", data_dir=given)
        assert "\n" not in str(e.value)


def test_an_unreadable_bucket_raises_one_line(monkeypatch):
    def refuse(name, **kwargs):
        raise ConnectionError("Anonymous caller\nhas no access.")

    monkeypatch.setattr(opening.importlib.util, "find_spec", lambda name: "found")
    monkeypatch.setattr(opening.tfds_source, "open_tfds", refuse)
    with pytest.raises(errors.DataError, match=r"'gs://b/tfds'.*caller has no access"):
        data.open_source("tfds:mnist", data_dir="gs://b/tfds")
    with pytest.raises(ConnectionError):
        data.open_source("tfds:mnist", data_dir="/data/tfds")


def test_absolute_data_dir_of_a_local_folder(here):
    assert data.absolute_data_dir("~/tfds/") == f"{here}/tfds"
    assert data.absolute_data_dir("tfds") == f"{here}/tfds"
    assert data.absolute_data_dir(None) is None
    with pytest.raises(errors.UserError, match="is a URL"):
        data.absolute_data_dir("s3://b/tfds")
