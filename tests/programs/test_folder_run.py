"""The program on a folder of photos of many sizes, some of them corrupt."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import running
from PIL import Image

BAD = ("a_truncated.jpg", "m_empty.jpg", "z_text.jpg")
TINY = (
    "--config=configs/mnist.py:smoke",
    "--config.num_steps=8",
    "--config.batch_size=16",
    "--config.augmentation.size=12",
    "--config.evaluation.size=12",
    "--config.data.num_channels=1",
)


def plant_bad_files(folder, good):
    encoded = pathlib.Path(good).read_bytes()
    (folder / BAD[0]).write_bytes(encoded[: len(encoded) // 2])
    (folder / BAD[1]).write_bytes(b"")
    (folder / BAD[2]).write_text("This is not a picture.")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(37):
        height, width = rng.integers(10, 60, 2)
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        form = ("jpg", "png", "webp")[number % 3]
        coarse.resize((width, height)).save(root / f"photo_{number:02d}.{form}")
    plant_bad_files(root, root / "photo_00.jpg")
    return root


def pretrain(folder, workdir, *arguments):
    done = running.run(
        "pretrain",
        *TINY,
        f"--config.data.source=folder:{folder}",
        f"--workdir={workdir}",
        *arguments,
    )
    return done


@pytest.fixture(scope="module")
def resident(folder, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("resident") / "run"
    done = pretrain(folder, workdir)
    assert done.returncode == 0, done.stderr
    return workdir, done


def test_warns_once_per_corrupt_file_and_counts_them(resident):
    workdir, done = resident
    for name in BAD:
        assert done.stderr.count(f"Corrupt image {name}: ") == 1
    assert "40 images (16, 16, 1), kept on the devices" in done.stdout
    # Two epochs of two batches of 16, each twice: most corrupt images occur.
    assert sum(row["replaced_images"] for row in running.rows(workdir)) > 2


def test_decodes_the_images_once(resident, folder):
    workdir, _ = resident
    (file,) = (workdir.parent / "decoded").iterdir()
    stamp = file.stat().st_mtime_ns
    done = pretrain(folder, workdir.parent / "again")
    assert "Decoding" not in done.stderr
    assert file.stat().st_mtime_ns == stamp
    assert "Corrupt image a_truncated.jpg: " in done.stderr
    assert running.losses(workdir.parent / "again") == running.losses(workdir)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_streamed_losses_equal_resident_losses(resident, folder, tmp_path, num_workers):
    done = pretrain(
        folder,
        tmp_path / "run",
        "--config.data.resident_bytes=0",
        f"--config.data.num_workers={num_workers}",
    )
    assert done.returncode == 0, done.stderr
    assert f"streamed, {num_workers} workers" in done.stdout
    assert running.losses(tmp_path / "run") == running.losses(resident[0])
    for name in BAD:
        assert done.stderr.count(f"Corrupt image {name}: ") <= 1


def test_resumes_if_the_image_folder_has_moved(resident, folder, tmp_path):
    workdir, _ = resident
    shutil.copytree(workdir, tmp_path / "run")
    shutil.copytree(folder, tmp_path / "moved")
    done = pretrain(tmp_path / "moved", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    os.remove(tmp_path / "moved" / "photo_03.jpg")
    done = pretrain(tmp_path / "moved", tmp_path / "run")
    assert done.returncode == 3
    assert "data.num_images: 40 in the checkpoint, 39 now" in done.stderr


def test_on_bad_image_fail_stops_at_a_corrupt_file(folder, tmp_path):
    done = pretrain(folder, tmp_path / "run", "--config.data.on_bad_image=fail")
    assert done.returncode == 4
    assert "'a_truncated.jpg' of folder:train@" in done.stderr
    assert "Traceback" not in done.stderr


def test_probes_folders_of_classes(resident, tmp_path):
    workdir, _ = resident
    rng = np.random.default_rng(1)
    for split, num_images in (("train", 20), ("test", 10)):
        for number in range(num_images):
            folder = tmp_path / split / ("bright" if number % 2 else "dark")
            folder.mkdir(parents=True, exist_ok=True)
            height, width = rng.integers(10, 40, 2)
            pixels = rng.integers(0, 100, (height, width, 3)) + 150 * (number % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    output = tmp_path / "probe.json"
    done = running.run(
        "probe",
        f"--checkpoint={workdir}",
        f"--dataset=folder:{tmp_path}",
        f"--output={output}",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text())
    assert found["accuracy"] == 1.0
    assert found["num_labels"] == 20
    assert found["test"].startswith("folder:test@")


def test_probe_rejects_a_folder_without_classes(resident, folder):
    workdir, _ = resident
    for dataset, message in (
        (f"folder:{folder}", "has no labels; a probe needs them"),
        ("synthetic:16x16x3:20", "Choose images of 1 channels"),
    ):
        done = running.run("probe", f"--checkpoint={workdir}", f"--dataset={dataset}")
        assert done.returncode == 4
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def make(folder, num_images):
    folder.mkdir()
    for number in range(num_images):
        Image.new("RGB", (20, 30), (number, 0, 0)).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--config.data.source=folder:{empty}"], 4, "no image"),
        (["--config.data.source=folder:{text}"], 4, "None of the 20 images after it"),
        (["--config.data.source=folder:{one}"], 4, "has 1 image; expected at least 2"),
        (["--config.data.source=folder:{three}"], 2, "not exceed the 3 images"),
        (["--config.data.source=folder:/nowhere"], 4, "/nowhere"),
        (["--config.data.source={three}"], 4, "folder:"),
        (["--config.data.on_bad_image=ignore"], 2, "Choices: fail, replace"),
        (["--config.data.canvas=0"], 2, "canvas must be a whole number >= 1; got 0"),
        (["--config.data.num_channels=2"], 2, "num_channels must be 1 or 3; got 2"),
        (["--config.data.num_workers=-1"], 2, "num_workers must be"),
    ],
)
def test_rejects_invalid_input(tmp_path, folder, arguments, code, message):
    places = {
        "empty": make(tmp_path / "empty", 0),
        "text": make(tmp_path / "text", 0),
        "one": make(tmp_path / "one", 1),
        "three": make(tmp_path / "three", 3),
    }
    for number in range(30):
        (places["text"] / f"{number}.jpg").write_text("text")
    arguments = [argument.format(**places) for argument in arguments]
    done = pretrain(folder, tmp_path / "run", *arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("run/checkpoints/[0-9]*"))


@pytest.mark.slow
def test_draws_views_of_photographs(data_dir, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(pathlib.Path(data_dir).parent / "photos", folder)
    plant_bad_files(folder, next(folder.glob("n*")))
    losses = []
    for num_workers in (0, 2, 4):
        done = running.run(
            "pretrain",
            "--config=configs/imagenet_resnet50.py:smoke",
            "--config.num_steps=50",
            f"--config.data.source=folder:{folder}",
            "--config.data.resident_bytes=0",
            f"--config.data.num_workers={num_workers}",
            f"--workdir={tmp_path / str(num_workers)}",
            timeout=900,
        )
        assert done.returncode == 0, done.stderr
        for name in BAD:
            assert done.stderr.count(f"Corrupt image {name}: ") == 1
        losses.append(running.losses(tmp_path / str(num_workers)))
    assert losses[0] == losses[1] == losses[2]
    assert np.isfinite(list(losses[0].values())).all()
