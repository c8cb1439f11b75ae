import logging
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import numbered
import numpy as np
import pytest

from simclr_jax import data
from simclr_jax.core import errors
from simclr_jax.data import dataset, prefetch

SOURCE = numbered.Numbered(60, corrupt=(7,))
ORDER = data.BatchOrder(60, 25, 9, seed=1)


@pytest.fixture
def images(monkeypatch):
    monkeypatch.setattr(prefetch, "PIECE_BYTES", 7 * 8 * 8 * 3)  # 4 pieces a batch
    return data.open_images(SOURCE, canvas=8)


def children():
    listed = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", "spawn_main"],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(line) for line in listed.stdout.split()]


def check(batches, first):
    for number, samples in enumerate(batches, first):
        expected = ORDER[number].astype(np.int64)
        reasons = dataset.unpack_reasons(samples["reasons"])
        assert len(reasons) == np.count_nonzero(expected == 7)
        expected[expected == 7] = 8
        np.testing.assert_array_equal(samples["shown"], expected)
        np.testing.assert_array_equal(samples["images"][:, 0, 0, 0], expected % 251)
        np.testing.assert_array_equal(samples["labels"], expected % 5)
        sizes = [SOURCE.size_of(index) for index in expected]
        np.testing.assert_array_equal(samples["sizes"], sizes)
    assert number == len(ORDER) - 1


@pytest.mark.parametrize(("num_workers", "start"), [(0, 0), (0, 4), (2, 4), (4, 0)])
def test_batches_follow_the_order(images, num_workers, start):
    batches = data.iterate_batches(images, ORDER, start=start, num_workers=num_workers)
    check(batches, start)


def test_ends_after_the_last_batch(images):
    assert list(data.iterate_batches(images, ORDER, start=9)) == []


@pytest.mark.parametrize("num_workers", [0, 1])
def test_errors_in_the_pipeline_keep_their_message(num_workers):
    source = numbered.Numbered(60, corrupt=tuple(range(60)))
    images = data.open_images(source, canvas=8)
    with pytest.raises(errors.DataError, match=r"None of the 20 images after"):
        list(data.iterate_batches(images, ORDER, num_workers=num_workers))


def test_a_dead_worker_raises_a_clear_error_quickly(images):
    order = data.BatchOrder(60, 25, 100_000, seed=1)
    batches = data.iterate_batches(images, order, num_workers=2)
    next(batches)
    workers = children()
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(errors.DataError, match=r"worker process .* \(exit code -9;"):
        for _ in batches:
            pass
    assert time.monotonic() - start < 30
    assert not children()


def test_closing_early_stops_the_workers(images):
    order = data.BatchOrder(60, 25, 100_000, seed=1)
    batches = data.iterate_batches(images, order, num_workers=1)
    next(batches)
    batches.close()
    assert not children()


def test_leaves_no_shared_memory(images):
    batches = list(data.iterate_batches(images, ORDER, num_workers=2))
    assert len(batches) == len(ORDER)
    deadline = time.monotonic() + 10  # grain unlinks in a thread of its own
    while "/dev/shm/psm_" in pathlib.Path("/proc/self/maps").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)


PARENT = """
import sys
import sys
sys.path[:0] = {path!r}
import numbered
from simclr_jax import data
if __name__ == "__main__":
    images = data.open_images(numbered.Numbered(60), canvas=8)
    order = data.BatchOrder(60, 25, 100_000, seed=1)
    batches = data.iterate_batches(images, order, num_workers=2)
    next(batches)
    print("ready", flush=True)
    for _ in batches:
        pass
"""


def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(path=sys.path))
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, start_new_session=True
    )
    assert parent.stdout.readline() == b"ready\n"
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while subprocess.run(["pgrep", "-s", str(parent.pid)], check=False).returncode == 0:
        assert time.monotonic() < deadline, "workers are still there"
        time.sleep(0.5)


WINDOWS = """
import platform, sys
platform.system = lambda: "Windows"
for name in ("fcntl", "array_record", "resource"):
    sys.modules[name] = None
from simclr_jax import data
from simclr_jax.data import prefetch
from simclr_jax.training.checkpoints import lock
print("imported")
"""


def test_reading_and_locking_use_no_posix_only_functions():
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS], capture_output=True, text=True, check=False
    )
    assert done.stdout == "imported\n", done.stderr


# No "if __name__" in it, and a source of its own.
SCRIPT = """
print("the script runs", flush=True)
import sys
sys.path[:0] = {path!r}
import numpy as np
from simclr_jax import data

class Mine:
    name, image_shape, num_classes = "mine", (8, 8, 3), 5
    def __len__(self):
        return 60
    def title_of(self, index):
        return str(index)
    def __getitems__(self, indices):
        fill = lambda index: np.full((8, 8, 3), index, np.uint8)
        return [{{"image": fill(index), "label": index % 5}} for index in indices]

order = data.BatchOrder(60, 25, 3, seed=1)
batches = data.iterate_batches(data.open_images(Mine()), order, num_workers=2)
for number, batch in enumerate(batches):
    assert (batch["images"][:, 0, 0, 0] == order[number]).all()
print("all batches")
"""


@pytest.mark.parametrize("is_file", [True, False])
def test_workers_start_from_a_script_without_main_guard_and_from_stdin(
    tmp_path, is_file
):
    text = SCRIPT.format(path=sys.path)
    script = tmp_path / "script.py"
    script.write_text(text)
    done = subprocess.run(
        [sys.executable, str(script) if is_file else "-"],
        input=None if is_file else text,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout.splitlines() == ["the script runs", "all batches"]
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_daemonic_processes_use_threads(caplog, monkeypatch):
    monkeypatch.setattr(multiprocessing.current_process(), "_config", {"daemon": True})
    prefetch._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert prefetch.allowed_workers(2) == 0
        assert prefetch.allowed_workers(0) == 0
        assert prefetch.allowed_workers(4) == 0
    assert caplog.text.count("threads read and decode instead") == 1
    monkeypatch.undo()
    assert prefetch.allowed_workers(2) == 2
