"""Programs accept paths in every form that a shell does."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
from PIL import Image
from programs import running

from simclr_jax import assembly, training
from simclr_jax.core import errors

TINY = (
    "--config=mnist:smoke",
    "--config.batch_size=8",
    "--config.num_steps=2",
    "--config.augmentation.size=12",
    "--config.evaluation.size=12",
    "--config.data.num_channels=1",
)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with images, and a run on them with relative paths."""
    folder = tmp_path_factory.mktemp("here").resolve() / "mein Ordner é"
    generator = np.random.default_rng(0)
    for number in range(16):
        path = folder / "pics ü" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (14, 14), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    (folder / "pics").symlink_to("pics ü")
    done = running.run(
        "pretrain",
        *TINY,
        "--config.data.source=folder:pics/",
        "--workdir=runs/../läufe/a b/",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    (folder / "link").symlink_to("läufe/a b")
    return folder


def test_writes_only_to_the_given_workdir(here):
    assert (here / "läufe" / "a b" / "metrics.jsonl").is_file()
    assert sorted(path.name for path in here.iterdir()) == [
        "link",
        "läufe",
        "pics",
        "pics ü",
    ]


@pytest.mark.parametrize(
    "form",
    [
        "läufe/a b",
        "./läufe/a b/",
        "pics ü/../läufe/a b",
        "~/läufe/a b",
        "link",
        "link/checkpoints/",
        "link/../a b",
        "{here}/link",
    ],
)
def test_accepts_every_form_of_a_checkpoint_path(here, monkeypatch, form):
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(here))
    assert assembly.load(form.format(here=here)).step == 2


def test_reads_a_step_by_a_relative_path(here, monkeypatch):
    monkeypatch.chdir(here)
    assert (
        training.checkpoints.read_meta(pathlib.Path("link/checkpoints/2"))["step"] == 2
    )


def test_rejects_a_checkpoint_in_a_bucket():
    with pytest.raises(errors.UserError, match=r"checkpoint .* is a URL"):
        assembly.load("gs://bucket/run")


def test_probe_finds_relative_data_from_another_folder(here, tmp_path):
    done = running.run(
        "probe",
        "--checkpoint=~/link",
        "--test_split=train",
        "--output=neu/Ergebnis 1.json",
        cwd=tmp_path,
        HOME=str(here),
        PYTHONIOENCODING="ascii",
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "neu" / "Ergebnis 1.json").read_text())
    assert result["num_labels"] == 16
    assert "Written to" in done.stdout
    assert not (here / "läufe" / "a b" / "probe.json").exists()


@pytest.fixture
def read_only(here, tmp_path):
    """The run on a read-only mount, where even root cannot write."""
    folder = tmp_path / "read_only"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a folder needs root")
    for options in (["--bind"], ["-o", "remount,ro,bind"]):
        mount = ["mount", *options, str(here / "läufe" / "a b"), str(folder)]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            subprocess.run(["umount", str(folder)], check=False, capture_output=True)
            pytest.skip("a folder cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_probes_a_read_only_workdir_with_another_output(read_only, tmp_path):
    arguments = (f"--checkpoint={read_only}", "--test_split=train")
    refused = running.run("probe", *arguments, cwd=tmp_path)
    assert refused.returncode == 2
    assert "--output '" in refused.stderr
    assert "cannot be written: Read-only file system. Choose" in refused.stderr
    assert "Accuracy" not in refused.stdout  # before the work
    done = running.run("probe", *arguments, "--output=r.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r.json").is_file()


def test_writes_a_figure_to_a_new_folder(here, tmp_path):
    done = running.run(
        "views",
        "--source=folder:~/pics",
        "--recipe=mnist",
        "--num_images=1",
        "--out=neu/x y/ü",
        cwd=tmp_path,
        HOME=str(here),
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "neu" / "x y" / "ü").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["probe", "--checkpoint=s3://b/run"], "checkpoint 's3://b/run' is a URL"),
        (["views", "--source=synthetic:9x9x3:9", "--out=gs://b/x"], "out 'gs://b/x'"),
    ],
)
def test_rejects_a_url_in_one_line(tmp_path, arguments, message):
    done = running.run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []
