"""Every example runs in its short form, on data that need no download.

The results are checked on what an example prints and writes.
"""

import re
import subprocess
import sys
import warnings

import nbclient
import nbformat
import pytest
from programs import running

pytestmark = pytest.mark.documents

EXAMPLES = running.ROOT / "examples"
EXAMPLE = EXAMPLES / "13_contrastive_learning_simclr.py"
ADVANCED = EXAMPLES / "advanced" / "simclr_contrastive.py"
CHECKPOINT = EXAMPLES / "03_use_your_checkpoint.py"
NOTEBOOK = EXAMPLES / "quickstart.ipynb"
METHODS = sorted((EXAMPLES / "methods").glob("*.py"))


def run(*arguments, example=EXAMPLE, timeout=None, **kwargs):
    return subprocess.run(
        [sys.executable, str(example), *arguments],
        cwd=running.ROOT,
        env=running.environment(**kwargs),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("example")
    done = run("--dataset=mnist_sample", "--epochs=2", f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return workdir, done.stdout


def test_prints_epochs_and_a_table_of_accuracies(finished):
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


def test_two_epochs_beat_pixels(finished):
    _, output = finished
    table = {
        name: float(value)
        for name, value in re.findall(r"^([a-z ]+?)\s+(0\.\d{4})\s", output, re.M)
    }
    assert table["learned h"] > table["pixels"]
    assert table["learned h"] > 0.95


def test_writes_pictures_metrics_and_a_checkpoint_that_probe_reads(finished):
    workdir, output = finished
    for name in ("views.png", "loss.png", "map.png"):
        assert (workdir / name).read_bytes().startswith(b"\x89PNG")
        assert str(workdir / name) in output
    assert len(running.losses(workdir)) == 62  # two epochs of 31 steps
    done = running.run("probe", f"--checkpoint={workdir}", "--dataset=mnist_sample")
    assert done.returncode == 0, done.stderr
    h = re.search(r"Test Accuracy: (0\.\d{4})", output).group(1)
    assert f"Test Accuracy: {h}" in done.stdout


def test_falls_back_to_the_sample_without_the_full_set(tmp_path):
    done = run("--epochs=0", f"--workdir={tmp_path}", TFDS_DATA_DIR=str(tmp_path))
    assert "tfds:mnist is not prepared" in done.stdout
    assert "download_and_prepare" in done.stdout
    assert "Using mnist_sample instead" in done.stdout
    assert done.returncode == 2
    assert "epochs must be a whole number >= 1; got 0" in done.stderr


@pytest.mark.parametrize("path", [EXAMPLE, *METHODS], ids=lambda path: path.stem)
def test_has_at_most_80_lines(path):
    assert 40 <= len(path.read_text().splitlines()) <= 80


def test_the_methods_have_the_same_parts_in_the_same_order():
    parts = ["Data", "Views", "Model", "Loss", "Loop", "Result"]
    assert [path.stem for path in METHODS] == ["byol", "moco", "simclr", "supcon"]
    for path in METHODS:
        assert re.findall(r"^# (\w+): ", path.read_text(), re.M) == parts


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.stem)
def test_a_method_in_one_file_trains(path):
    done = run("--smoke", example=path, timeout=240)
    assert done.returncode == 0, done.stderr
    losses = re.findall(r"^step (\d+)/40 \| loss (\d+\.\d{4})$", done.stdout, re.M)
    assert [int(step) for step, _ in losses] == [8, 16, 24, 32, 40]
    if path.stem != "byol":  # whose loss is no measure of progress
        assert float(losses[-1][1]) < float(losses[0][1])
    accuracy = re.search(r"^Linear accuracy: (0\.\d{4})$", done.stdout, re.M)
    assert float(accuracy.group(1)) > 0.95


def test_a_checkpoint_is_used(tmp_path):
    done = run(f"--workdir={tmp_path}", example=CHECKPOINT, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "Embedded 1000 images of mnist_sample:train: (1000, 2304)" in done.stdout
    accuracy = re.search(r"^Linear accuracy .*: (0\.\d{4})$", done.stdout, re.M)
    assert float(accuracy.group(1)) > 0.9
    assert (tmp_path / "neighbors.png").read_bytes().startswith(b"\x89PNG")
    assert "30 arrays taken" in done.stdout
    assert f"Trained 20 more steps: {tmp_path / 'continued'}" in done.stdout


def test_a_checkpoint_of_the_example_is_used(finished, tmp_path):
    workdir, _ = finished
    done = run(f"--checkpoint={workdir}", f"--workdir={tmp_path}", example=CHECKPOINT)
    assert done.returncode == 0, done.stderr
    assert "Trained 20 more steps" in done.stdout


def test_the_notebook_runs(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages that start a kernel
        client = nbclient.NotebookClient(notebook, timeout=240, resources=resources)
        client.execute(env=running.environment())
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    text = "".join(output.get("text", "") for output in outputs)
    assert float(re.search(r"neighbor of (\d+\.\d)%", text).group(1)) > 85
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3


def test_the_notebook_holds_small_outputs():
    assert NOTEBOOK.stat().st_size < 200_000
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(cell.outputs for cell in code)
    assert not any(o.output_type == "error" for cell in code for o in cell.outputs)


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


def test_the_advanced_example_reports_an_empty_folder(tmp_path):
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
