import json
import os
import socket
import subprocess
import sys
import time

import pytest

from simclr_jax import training
from simclr_jax.core import errors
from simclr_jax.training.checkpoints import lock

HOLD = """
import pathlib, sys, time
from simclr_jax.training.checkpoints import lock
with lock.WorkdirLock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_rejects_a_second_process_with_the_holder(tmp_path, holder):
    start = time.monotonic()
    with pytest.raises(errors.WorkdirBusyError) as caught:
        training.checkpoints.WorkdirLock(tmp_path).__enter__()
    assert time.monotonic() - start < 1.0
    assert f"process {holder.pid} on host {socket.gethostname()}" in str(caught.value)


def test_a_killed_holder_releases_the_lock(tmp_path, holder):
    holder.kill()
    holder.wait()
    with training.checkpoints.WorkdirLock(tmp_path):
        assert json.loads((tmp_path / "LOCK").read_text())["pid"] == os.getpid()
    assert (tmp_path / "LOCK").read_text() == ""


def test_respects_a_lock_of_another_host_until_it_is_stale(tmp_path):
    path = tmp_path / "LOCK"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "since": "today"}))
    with pytest.raises(errors.WorkdirBusyError, match=r"process 1 on host elsewhere"):
        training.checkpoints.WorkdirLock(tmp_path).__enter__()
    old = time.time() - 2 * lock.STALE_SECONDS
    os.utime(path, (old, old))
    with training.checkpoints.WorkdirLock(tmp_path):
        pass


def test_the_holder_updates_the_modification_time(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.05)
    with training.checkpoints.WorkdirLock(tmp_path):
        os.utime(tmp_path / "LOCK", (0, 0))
        time.sleep(0.5)
        assert (tmp_path / "LOCK").stat().st_mtime > 0
