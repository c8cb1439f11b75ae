import logging
import shutil
import threading

import jax
import numpy as np
import pytest
import small_disk

from simclr_jax import training
from simclr_jax.core import errors
from simclr_jax.training.checkpoints import checkpoint, step_folder

# If one read fails, Orbax leaves the others pending, which Python warns about.
ignore_pending_reads = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


def make_items(seed=0):
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    return {
        "model": {"encoder": {0: {"kernel": draw(40, 30)}}, "head": {"bias": draw(7)}},
        "opt": {"step": np.array(seed, np.uint32), "mu": draw(40, 30)},
    }


@pytest.fixture
def folder(tmp_path):
    """Three checkpoints: steps 1, 2 and 3."""
    folder = tmp_path / "checkpoints"
    checkpoints = training.checkpoints.Checkpoints(folder)
    for step in (1, 2, 3):
        checkpoints.save(step, make_items(step), {"config": {"temperature": 0.1}})
    checkpoints.close()
    return folder


def restore(folder):
    checkpoints = training.checkpoints.Checkpoints(folder)
    try:
        return checkpoints.restore_newest(make_items())
    finally:
        checkpoints.close()


def assert_equal(restored, step):
    assert restored.step == step
    jax.tree.map(np.testing.assert_array_equal, restored.items, make_items(step))


def largest_file(folder):
    return max(
        (path for path in folder.rglob("*") if path.is_file()),
        key=lambda path: path.stat().st_size,
    )


def test_restores_the_newest_step_exactly(folder):
    restored = restore(folder)
    assert_equal(restored, 3)
    assert restored.meta["config"] == {"temperature": 0.1}
    assert restored.meta["format"] == step_folder.FORMAT


def test_restores_nothing_from_an_empty_folder(tmp_path):
    assert restore(tmp_path / "new") is None


def test_keeps_only_the_newest_steps(tmp_path):
    checkpoints = training.checkpoints.Checkpoints(tmp_path, keep=2)
    for step in range(1, 6):
        checkpoints.save(step, make_items(step), {})
    checkpoints.close()
    assert training.checkpoints.find_steps(tmp_path) == [5, 4]


@ignore_pending_reads
def test_falls_back_from_a_truncated_file_with_a_warning(folder, caplog):
    path = largest_file(folder / "3" / "model")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with caplog.at_level(logging.WARNING):
        assert_equal(restore(folder), 2)
    assert "Checkpoint 3 is unreadable" in caplog.text
    assert "trying an older one" in caplog.text
    assert (folder / "3.unreadable").is_dir()  # renamed, not deleted


@ignore_pending_reads
@pytest.mark.parametrize("damage", ["empty", "missing"])
@pytest.mark.parametrize("item", ["model", "opt", "meta"])
def test_falls_back_from_any_damaged_item(folder, item, damage):
    path = largest_file(folder / "3" / item)
    path.write_bytes(b"") if damage == "empty" else path.unlink()
    assert_equal(restore(folder), 2)


def test_raises_if_no_step_is_readable(folder):
    for step in (1, 2, 3):
        shutil.rmtree(folder / str(step) / "meta")
    with pytest.raises(
        errors.CheckpointError, match=r"No checkpoint in .* is readable"
    ):
        restore(folder)
    assert sorted(p.name for p in folder.glob("*.unreadable")) == [
        "1.unreadable",
        "2.unreadable",
        "3.unreadable",
    ]


def test_ignores_unrelated_files_and_folders(folder):
    (folder / "999").mkdir()
    (folder / "foo").mkdir()
    (folder / "7").write_text("")
    assert_equal(restore(folder), 3)


@ignore_pending_reads
def test_detects_any_flipped_bit_that_matters(folder, tmp_path):
    """Flips a random bit in a random file of a committed step, 30 times."""
    rng = np.random.default_rng(0)
    pristine = tmp_path / "pristine"
    shutil.copytree(folder, pristine)
    files = sorted(p for p in (pristine / "3").rglob("*") if p.stat().st_size)
    files = [path.relative_to(pristine) for path in files if path.is_file()]
    sizes = np.array([(pristine / path).stat().st_size for path in files])
    outcomes = {2: 0, 3: 0}
    for trial in range(30):
        shutil.rmtree(folder)
        shutil.copytree(pristine, folder)
        # Half of the flips are uniform over the bytes, half over the files.
        shares = sizes / sizes.sum() if trial % 2 else None
        path = folder / files[rng.choice(len(files), p=shares)]
        raw = bytearray(path.read_bytes())
        raw[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(raw))
        restored = restore(folder)
        assert_equal(restored, restored.step)
        outcomes[restored.step] += 1
    assert outcomes[2] > 9  # most flips are in the data, and are detected


def test_rejects_another_model_without_renaming_it(folder):
    checkpoints = training.checkpoints.Checkpoints(folder)
    other = make_items()
    other["model"]["head"]["bias"] = np.zeros(9, np.float32)
    with pytest.raises(errors.CheckpointError, match=r"float32\[9\], got float32\[7\]"):
        checkpoints.restore_newest(other)
    checkpoints.close()
    assert training.checkpoints.find_steps(folder) == [3, 2, 1]


def test_an_exception_of_check_meta_ends_the_search(folder):
    def refuse(meta):
        raise errors.ConfigMismatchError("another run")

    checkpoints = training.checkpoints.Checkpoints(folder)
    with pytest.raises(errors.ConfigMismatchError, match=r"another run"):
        checkpoints.restore_newest(make_items(), check_meta=refuse)
    checkpoints.close()
    assert training.checkpoints.find_steps(folder) == [3, 2, 1]


def test_does_not_save_arrays_that_are_not_finite(folder):
    checkpoints = training.checkpoints.Checkpoints(folder)
    items = make_items(4)
    items["opt"]["mu"][3, 3] = np.nan
    with pytest.raises(errors.NonFiniteError, match=r"'opt/mu' holds NaN.*step 4"):
        checkpoints.save(4, items, {})
        checkpoints.wait()
    checkpoints.close()
    assert training.checkpoints.find_steps(folder) == [3, 2, 1]


def test_saves_the_arrays_as_they_were_when_save_was_called(tmp_path):
    checkpoints = training.checkpoints.Checkpoints(tmp_path)
    items = make_items(1)
    checkpoints.save(1, items, {})
    items["model"]["encoder"][0]["kernel"][:] = 0
    checkpoints.close()
    assert_equal(restore(tmp_path), 1)


def test_save_returns_before_the_arrays_are_written(tmp_path, monkeypatch):
    checkpoints = training.checkpoints.Checkpoints(tmp_path)
    may_continue = threading.Event()
    digest_leaves = checkpoint.digest.digest_leaves

    def slow(item):
        assert may_continue.wait(60)
        return digest_leaves(item)

    monkeypatch.setattr(checkpoint.digest, "digest_leaves", slow)
    checkpoints.save(1, make_items(1), {})
    checkpoints.poll()
    assert checkpoints.last_good is None
    may_continue.set()
    checkpoints.close()
    assert checkpoints.last_good == 1


def fail(*args, **kwargs):
    raise OSError(28, "No space left on device")


def test_reports_a_failed_save_at_once_and_raises_at_the_third_in_a_row(
    folder, monkeypatch, caplog
):
    checkpoints = training.checkpoints.Checkpoints(folder)
    checkpoints.restore_newest(make_items())
    monkeypatch.setattr(checkpoints._manager, "wait_until_finished", fail)
    with caplog.at_level(logging.WARNING):
        checkpoints.save(4, make_items(4), {})
        while not caplog.text:
            checkpoints.poll()
    assert "Checkpoint 4 could not be written" in caplog.text
    assert "The last good one is step 3. Training continues." in caplog.text
    with pytest.raises(errors.CheckpointError, match=r"failure 3 in a row"):
        for step in (5, 6):
            checkpoints.save(step, make_items(step), {})
            checkpoints.wait()


def test_close_raises_if_the_last_save_failed(tmp_path, monkeypatch):
    checkpoints = training.checkpoints.Checkpoints(tmp_path)
    monkeypatch.setattr(checkpoints._manager, "save", fail)
    checkpoints.save(1, make_items(1), {})
    with pytest.raises(errors.CheckpointError, match=r"last checkpoint could not"):
        checkpoints.close()


def test_raises_before_writing_if_the_disk_is_too_full(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(
        errors.CheckpointError, match=r"0\.0 MB free; a checkpoint needs"
    ):
        checkpoint.check_free_space(tmp_path, 1 << 20)


def test_saves_again_after_errors_inside_orbax(tmp_path, caplog):
    checkpoints = training.checkpoints.Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, make_items(step), {})
        with small_disk.files_up_to(1000):
            checkpoints.wait()
        assert f"Checkpoint {step} could not be written (File too large)" in caplog.text
    checkpoints.save(3, make_items(3), {})
    checkpoints.close()
    assert_equal(restore(tmp_path), 3)  # opening removes the temporary folders
    assert [path.name for path in tmp_path.iterdir()] == ["3"]
    assert "Traceback" not in caplog.text


def test_an_error_of_orbax_in_close_hides_no_failed_save(tmp_path, monkeypatch, caplog):
    checkpoints = training.checkpoints.Checkpoints(tmp_path)
    monkeypatch.setattr(checkpoints._manager, "close", fail)
    monkeypatch.setattr(checkpoints._manager, "save", fail)
    checkpoints.save(1, make_items(), {})
    with pytest.raises(errors.CheckpointError, match=r"last checkpoint could not be"):
        checkpoints.close()
    assert "Orbax could not be closed" in caplog.text
