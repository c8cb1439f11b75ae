import threading
import time

from simclr_jax.training.checkpoints import leftovers


def test_removes_only_temporary_folders(tmp_path):
    for name in ("3", "4.orbax-checkpoint-tmp", "5.unreadable"):
        (tmp_path / name / "inside").mkdir(parents=True)
    assert leftovers.remove(tmp_path)
    assert not leftovers.remove(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "5.unreadable"]


def test_removes_what_a_late_write_creates_again(tmp_path, monkeypatch):
    """Writes continue for a while after a save has failed, as in TensorStore."""
    monkeypatch.setattr(leftovers, "SETTLE_SECONDS", 0.3)

    def write():
        for number in range(40):
            folder = tmp_path / "3.orbax-checkpoint-tmp" / "encoder"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / str(number)).write_text("late")
            except FileNotFoundError:  # removed in between
                continue
            time.sleep(0.005)

    late = threading.Thread(target=write)
    late.start()
    leftovers.remove_for_good(tmp_path)
    late.join()
    assert not list(tmp_path.iterdir())


def test_gives_up_after_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers, "LIMIT_SECONDS", 0.1)
    monkeypatch.setattr(leftovers.shutil, "rmtree", lambda *args, **kwargs: None)
    (tmp_path / "3.orbax-checkpoint-tmp").mkdir()
    leftovers.remove_for_good(tmp_path)
