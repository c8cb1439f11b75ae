"""A method in one short file outside the package is trained and evaluated."""

import json

from programs import running

FILE = running.ROOT / "examples" / "own_method.py"


def test_the_file_has_at_most_60_lines():
    assert len(FILE.read_text().splitlines()) <= 60


def test_pretrain_and_probe_work_with_it(tmp_path):
    trained = running.run(
        "pretrain",
        "--config=mnist:smoke",
        f"--config.modules={FILE}",
        "--config.method.name=rotation",
        "--config.method.hidden_dim=16",
        "--config.augmentation.size=8",
        "--config.evaluation.size=8",
        "--config.num_steps=3",
        "--config.batch_size=32",
        f"--workdir={tmp_path / 'run'}",
    )
    assert trained.returncode == 0, trained.stderr
    assert "method    Rotation: convnet" in trained.stdout
    rows = running.rows(tmp_path / "run")
    assert 0 <= rows[-1]["rotation_accuracy"] <= 1 and rows[-1]["step"] == 3
    probed = running.run(
        "probe", f"--checkpoint={tmp_path / 'run'}", "--labels_per_class=5"
    )
    assert probed.returncode == 0, probed.stderr
    result = json.loads((tmp_path / "run" / "probe.json").read_text())
    assert result["step"] == 3 and result["accuracy"] > 0.3
