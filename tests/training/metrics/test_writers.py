import json

import pytest
import small_disk

from simclr_jax import training
from simclr_jax.core import errors
from simclr_jax.training.metrics import writers


def test_writes_one_object_per_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    writer = training.metrics.JsonLinesWriter(path)
    writer.write(1, {"loss": 1.0 / 3})
    writer.write(2, {"loss": 0.25})
    lines = path.read_text().splitlines()  # on disk before the writer is closed
    writer.close()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]
    assert json.loads(lines[0])["loss"] == pytest.approx(1 / 3, rel=1e-8)


def test_a_resumed_run_drops_later_and_incomplete_lines(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n{"step": 3, "lo'
    )
    writer = training.metrics.JsonLinesWriter(path, resume_step=1)
    writer.write(2, {"loss": 0.5})
    writer.close()
    assert writers.read_json_lines(path) == [
        {"step": 1, "loss": 2.0},
        {"step": 2, "loss": 0.5},
    ]


def test_a_new_run_creates_an_empty_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n')
    training.metrics.JsonLinesWriter(path).close()
    assert path.read_text() == ""


def test_tensorboard_writes_event_files(tmp_path):
    pytest.importorskip("tensorboardX")
    writer = training.metrics.TensorBoardWriter(tmp_path)
    writer.write(1, {"loss": 2.0})
    writer.close()
    assert any(path.name.startswith("events") for path in tmp_path.iterdir())


def test_error_without_tensorboardx_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(errors.UserError, match=r"simclr_jax\[tensorboard\]"):
        training.metrics.TensorBoardWriter(tmp_path)


def test_warns_once_about_a_full_disk_and_drops_lines(tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    writer = training.metrics.JsonLinesWriter(path)
    writer.write(1, {"loss": 1.0})
    with small_disk.files_up_to(path.stat().st_size + 10):
        writer.write(2, {"loss": 2.0})
        writer.write(3, {"loss": 3.0})
    writer.write(4, {"loss": 4.0})
    writer.close()
    assert [row["step"] for row in writers.read_json_lines(path)] == [1, 4]
    assert len(path.read_text().splitlines()) == 2
    (said,) = caplog.records
    assert "lines are missing from step 2 on" in said.getMessage()
