"""The example runs on the digits that need no download, and says what it found."""

import re
import subprocess
import sys

import pytest
from programs import running

pytestmark = pytest.mark.documents

EXAMPLE = running.ROOT / "examples" / "13_contrastive_learning_simclr.py"
ADVANCED = running.ROOT / "examples" / "advanced" / "simclr_contrastive.py"


def run(*arguments, example=EXAMPLE, **kwargs):
    return subprocess.run(
        [sys.executable, str(example), *arguments],
        cwd=running.ROOT,
        env=running.environment(**kwargs),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("example")
    done = run("--dataset=mnist_sample", "--epochs=2", f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return workdir, done.stdout


def test_output_is_in_the_classic_form(finished):
    _, output = finished
    lines = output.splitlines()
    assert lines[0] == "Training for 2 epochs..."
    assert re.fullmatch(r"Epoch 2/2 \| Loss: \d\.\d{4} \| Time: \d+\.\d\ds", lines[2])
    assert lines[3:5] == ["✓ Training completed!", "LINEAR EVALUATION"]
    first, second = lines[5:7]
    assert re.match(r"Test Accuracy: 0\.\d{4} .*h", first)
    assert re.match(r"Test Accuracy: 0\.\d{4} .*z", second)
    for row in ("pixels", "random encoder", "learned h", "learned z"):
        assert re.search(rf"^{row}\s+0\.\d{{4}}\s+0\.\d{{4}}$", output, re.M)


def test_even_two_epochs_beat_pixels_and_chance(finished):
    _, output = finished
    table = {
        name: float(value)
        for name, value in re.findall(r"^([a-z ]+?)\s+(0\.\d{4})\s", output, re.M)
    }
    assert table["learned h"] > table["pixels"]
    assert table["learned h"] > 0.95


def test_it_leaves_pictures_metrics_and_a_checkpoint_that_the_probe_reads(finished):
    workdir, output = finished
    for name in ("views.png", "loss.png", "map.png"):
        assert (workdir / name).read_bytes().startswith(b"\x89PNG")
        assert str(workdir / name) in output
    assert len(running.losses(workdir)) == 62  # two epochs of 31 steps
    done = running.run("probe", f"--checkpoint={workdir}", "--dataset=mnist_sample")
    assert done.returncode == 0, done.stderr
    h = re.search(r"Test Accuracy: (0\.\d{4})", output).group(1)
    assert f"Test Accuracy: {h}" in done.stdout


def test_without_the_full_set_it_says_so_and_goes_on(tmp_path):
    done = run("--epochs=0", f"--workdir={tmp_path}", TFDS_DATA_DIR=str(tmp_path))
    assert "tfds:mnist is not prepared" in done.stdout
    assert "download_and_prepare" in done.stdout
    assert "Using mnist_sample instead" in done.stdout
    assert done.returncode == 2
    assert "epochs must be a whole number >= 1; got 0" in done.stderr


def test_it_is_short():
    assert len(EXAMPLE.read_text().splitlines()) < 200


def test_the_advanced_example_runs_on_a_laptop(tmp_path):
    done = run("--smoke", "--optimizer=lars", f"--workdir={tmp_path}", example=ADVANCED)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Training for 2 epochs..."
    assert re.fullmatch(r"Epoch 2/2 \| Loss: \d\.\d{4} \| Time: \d+\.\d\ds", lines[2])
    assert lines[3] == "✓ Training completed!"
    assert "LINEAR EVALUATION" in lines
    assert len(re.findall(r"^Test Accuracy: 0\.\d{4} ", done.stdout, re.M)) == 2
    for name in ("views.png", "loss.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert len(running.losses(tmp_path)) == 8


def test_the_advanced_example_takes_a_folder_without_labels(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    done = run(f"--dataset=folder:{folder}", f"--workdir={tmp_path}", example=ADVANCED)
    assert done.returncode == 4
    assert "no image" in done.stderr


@pytest.mark.slow
def test_full_mnist_reaches_what_the_readme_promises(data_dir, tmp_path):
    done = run(f"--data_dir={data_dir}", f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    h = re.search(r"^learned h +(0\.\d{4}) +(0\.\d{4})$", done.stdout, re.M)
    with_all, with_few = map(float, h.groups())
    assert with_all >= 0.989
    assert with_few >= 0.93
