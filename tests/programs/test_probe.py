import json
import shutil

import pytest
from programs import running


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("pretrained")
    done = running.run("pretrain", *running.TINY, f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return workdir


def test_probe_needs_only_the_checkpoint_and_the_data(workdir, tmp_path):
    done = running.run(
        "probe",
        f"--checkpoint={workdir}",
        "--dataset=synthetic:14x14x1:200",
        f"--output={tmp_path / 'probe.json'}",
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "probe.json").read_text())
    assert f"Test Accuracy: {result['accuracy']:.4f}" in done.stdout
    assert result["accuracy"] > 0.3  # ten classes of different brightness
    assert result["layer"] == "h"
    assert result["step"] == 4
    assert result["num_labels"] == 200
    assert "frozen" in result["protocol"]
    assert len(result["config_digest"]) == 12
    assert result["test"] == "synthetic:14x14x1:200:test"
    assert result["majority_rate"] == 0.1
    assert result["balanced_accuracy"] == pytest.approx(result["accuracy"])
    assert "the largest class alone is 0.1000 of the 200 test images" in done.stdout


def test_writes_the_result_to_the_workdir_and_can_use_few_labels(workdir):
    done = running.run("probe", f"--checkpoint={workdir}", "--labels_per_class=3")
    assert done.returncode == 0, done.stderr
    assert json.loads((workdir / "probe.json").read_text())["num_labels"] == 30


@pytest.mark.parametrize(
    ("arguments", "test"),
    [
        (
            ["--train_split=train[:80%]", "--test_split=train[80%:]"],
            "synthetic:14x14x1:100:train[80%:]",
        ),
        (["--test_share=0.2"], "synthetic:14x14x1:100:train, 0.2 of every class"),
    ],
)
def test_holds_out_a_part_of_the_training_split(workdir, tmp_path, arguments, test):
    output = tmp_path / "probe.json"
    done = running.run(
        "probe",
        f"--checkpoint={workdir}",
        "--dataset=synthetic:14x14x1:100",
        f"--output={output}",
        *arguments,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(output.read_text())
    assert (result["num_labels"], result["num_test"]) == (80, 20)
    assert result["test"] == test


def test_resizes_images_of_another_size_with_a_note(workdir, tmp_path):
    done = running.run(
        "probe",
        f"--checkpoint={workdir}",
        "--dataset=synthetic:20x20x1:50",
        f"--output={tmp_path / 'probe.json'}",
    )
    assert done.returncode == 0, done.stderr
    assert "note: images of (20, 20) pixels are resized to" in done.stdout


def test_rejects_images_with_another_number_of_channels(workdir):
    done = running.run(
        "probe", f"--checkpoint={workdir}", "--dataset=synthetic:14x14x3:50"
    )
    assert done.returncode == 4
    assert "has images of 3 channels; the encoder was trained on" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--checkpoint=/nowhere"], 6, "'/nowhere' is not a folder"),
        (["--step=3"], 6, "No checkpoint of step 3"),
        (["--dataset=tfds:nothing"], 4, "tfds:nothing is not prepared"),
        (["--test_split=tset"], 4, "Did you mean 'test'"),
        (["--labels_per_class=1000"], 2, "1000 were requested"),
        (["--test_split=test", "--test_share=0.2"], 2, "expected only one of them"),
        (["--test_share=1.5"], 2, "above 0 and below 1; got 1.5"),
        (["--dataset=synthetic:14x14x1:1"], 4, "are of one class, 0, so the"),
    ],
)
def test_rejects_invalid_input_with_one_message(workdir, arguments, code, message):
    done = running.run("probe", f"--checkpoint={workdir}", *arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_skips_a_damaged_checkpoint_without_modifying_it(workdir, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    newest = copy / "checkpoints" / "4"
    for path in (newest / "encoder").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    done = running.run("probe", f"--checkpoint={copy}")
    assert done.returncode == 0, done.stderr
    assert "Checkpoint 4 is unreadable" in done.stderr
    assert json.loads((copy / "probe.json").read_text())["step"] == 2
    assert newest.is_dir()


def test_a_checkpoint_of_format_1_is_probed(tmp_path):
    checkpoint = running.ROOT / "tests/assembly/checkpoints/format_1"
    output = tmp_path / "probe.json"
    done = running.run("probe", f"--checkpoint={checkpoint}", f"--output={output}")
    assert done.returncode == 0, done.stderr
    result = json.loads(output.read_text())
    assert (result["layer"], result["step"]) == ("h", 2)
    assert result["accuracy"] == pytest.approx(0.905, abs=0.01)
