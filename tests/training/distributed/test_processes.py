"""Tests in one process; tests/programs/test_several_processes.py starts several."""

import subprocess
import sys

import numpy as np
import pytest
from programs import running

from simclr_jax.core import errors
from simclr_jax.training.distributed import processes

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"coordinator": "a:1"}, "Expected all of --coordinator"),
        ({"num_processes": 2, "process_id": 0}, "Expected all of --coordinator"),
        (
            {"coordinator": "host", "num_processes": 2, "process_id": 0},
            "must be HOST:PORT",
        ),
        (
            {"coordinator": "host:1", "num_processes": 2, "process_id": 2},
            "must be between 0",
        ),
    ],
)
def test_accepts_only_complete_coordinator_addresses(given, message):
    with pytest.raises(errors.UserError, match=message):
        processes.join(**given)


def test_a_single_process_needs_no_communication():
    assert processes.is_first()
    assert processes.run_on_first(lambda: 3) == 3
    assert processes.total(4) == 4
    arrays = {"a": np.float32([-0.0, 1])}
    assert processes.broadcast(arrays) is arrays
    processes.check_same({"temperature": 0.1}, differences=lambda one, other: [])
    processes.wait_for_all("here")
    with processes.first_goes_first(), processes.explain_if_killed():
        pass


def test_a_single_process_raises_the_original_error():
    def fail():
        raise errors.WorkdirBusyError("busy")

    with pytest.raises(errors.WorkdirBusyError):
        processes.run_on_first(fail)


@pytest.mark.parametrize(
    ("end", "is_told"),
    [
        ("os.abort()", True),
        ("raise RuntimeError('a collective failed')", True),
        ("pass", False),
        ("raise errors.UserError('a reason')", False),
    ],
)
def test_prints_recovery_instructions_if_a_process_is_killed(end, is_told):
    script = (
        "import os, jax\n"
        "from simclr_jax.core import errors\n"
        "from simclr_jax.training.distributed import processes\n"
        "jax.process_count = lambda: 2\n"
        f"with processes.explain_if_killed():\n    {end}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=running.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ("error: process 0 of 2" in done.stderr) == is_told
    assert (done.returncode != 0) == (end != "pass")
