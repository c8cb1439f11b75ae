"""NT-Xent over several processes with several devices each, as on several hosts."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest

from simclr_jax import losses
from tests import helpers

pytestmark = pytest.mark.pods

NUM_PROCESSES = 2
TIMEOUT_SECONDS = 90
ROOT = pathlib.Path(__file__).parents[2]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(process, num_devices, coordinator, folder):
    """Starts one worker; its output goes to a file, so that no pipe fills up."""
    command = [
        *(sys.executable, "-m", "tests.losses.processes_worker"),
        f"--coordinator={coordinator}",
        f"--num_processes={NUM_PROCESSES}",
        f"--process={process}",
        f"--num_devices={num_devices}",
        f"--output={folder / f'{process}.json'}",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    with (folder / f"{process}.log").open("w") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )


def wait(workers, folder):
    """Waits for all workers, or until one fails, since the others would then hang."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    try:
        while any(worker.poll() is None for worker in workers):
            is_late = time.monotonic() > deadline
            if is_late or any(worker.poll() for worker in workers):
                break
            time.sleep(0.05)
        codes = [worker.poll() for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    said = [(folder / f"{k}.log").read_text()[-3000:] for k in range(len(workers))]
    assert codes == [0] * len(workers), (
        f"exit codes {codes} (None: still running after {TIMEOUT_SECONDS} s or when "
        "another failed); the workers said:\n" + "\n---\n".join(said)
    )


@pytest.mark.parametrize("num_devices", [2, 4])
def test_processes_do_not_affect_value_or_gradient(tmp_path, num_devices):
    coordinator = f"127.0.0.1:{free_port()}"
    workers = []
    try:
        for process in range(NUM_PROCESSES):
            workers.append(start(process, num_devices, coordinator, tmp_path))
    finally:
        wait(workers, tmp_path)
    for process in range(NUM_PROCESSES):
        found = json.loads((tmp_path / f"{process}.json").read_text())
        assert set(found) == set(losses.ALGORITHMS)
        for name, error in found.items():
            assert error["value"] <= helpers.TOLERANCE["loss_value"]["rtol"], name
            assert error["gradient"] <= helpers.TOLERANCE["loss_gradient"]["rtol"], name
