import pathlib

import numpy as np
import pytest

from simclr_jax.core import errors
from simclr_jax.training import checkpoints
from simclr_jax.training.checkpoints import digest, step_folder


def test_set_aside_renames_and_never_overwrites(tmp_path):
    assert step_folder.set_aside(tmp_path / "nothing", suffix="old") is None
    for expected in ("run.old", "run.old-2", "run.old-3"):
        (tmp_path / "run").mkdir()
        assert step_folder.set_aside(tmp_path / "run", suffix="old").name == expected


def test_find_steps_ignores_other_names_and_files(tmp_path):
    for name in ("2", "10", "foo", "3.unreadable"):
        (tmp_path / name).mkdir()
    (tmp_path / "7").write_text("")
    assert step_folder.find_steps(tmp_path) == [10, 2]


def test_reads_a_part_of_an_item(tmp_path):
    items = {"encoder": {"a": np.arange(3.0), "b": {"c": np.ones(2)}}}
    writer = checkpoints.Checkpoints(tmp_path)
    writer.save(1, items, {"note": "first"})
    writer.close()
    folder = tmp_path / "1"
    meta = step_folder.read_meta(folder)
    assert meta["note"] == "first"
    part = {"b": {"c": np.zeros(2)}}
    found = step_folder.read_item(folder, "encoder", part, meta)
    np.testing.assert_array_equal(found["b"]["c"], np.ones(2))
    assert set(found) == {"b"}


def test_rejects_unknown_formats(monkeypatch):
    monkeypatch.setattr(digest, "unseal", lambda sealed: {"format": 3})
    monkeypatch.setattr(
        step_folder.ocp.Checkpointer, "restore", lambda self, path: None
    )
    with pytest.raises(errors.CheckpointError, match=r"format 3; this version reads 1"):
        step_folder.read_meta(pathlib.Path("nowhere"))


def test_a_run_of_format_1_cannot_be_continued():
    step_folder.check_can_continue({"format": step_folder.FORMAT})
    with pytest.raises(errors.ConfigMismatchError, match=r"checkpoint format 1"):
        step_folder.check_can_continue({"format": 1})
