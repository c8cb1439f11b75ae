"""Several processes train the same as one process."""

import contextlib
import os
import signal
import socket
import subprocess
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from helpers import TOLERANCE
from programs import running

pytestmark = pytest.mark.pods

NUM_STEPS = 300  # enough that a run does not end before it is told to stop
ARGUMENTS = (
    *running.TINY,
    f"--config.num_steps={NUM_STEPS}",
    "--config.checkpoint_every_steps=25",
    "--config.log_every_steps=1",
    # Adam would divide rounding noise by its own size where the gradient is small, and
    # a high rate would let it grow from step to step.
    "--config.optimizer.name=sgd",
    "--config.optimizer.learning_rate=0.00001",
)


@contextlib.contextmanager
def started(num_processes, *arguments, num_devices=1, of_process=None):
    """Starts the processes of a run; kills remaining ones at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    everyone = [
        running.start(
            "pretrain",
            *arguments,
            *(of_process or {}).get(number, ()),
            f"--coordinator=127.0.0.1:{port}",
            f"--num_processes={num_processes}",
            f"--process_id={number}",
            num_devices=num_devices,
        )
        for number in range(num_processes)
    ]
    try:
        yield everyone
    finally:
        for process in everyone:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def finish(everyone, seconds=200):
    """Returns exit code and output of each process."""
    outputs = []
    end = time.monotonic() + seconds
    for process in everyone:
        try:
            output, _ = process.communicate(timeout=max(end - time.monotonic(), 1))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output = "TIMED OUT\n" + process.communicate()[0]
        outputs.append((process.returncode, output))
    return outputs


def parameters(workdir):
    folder = workdir / "checkpoints" / str(NUM_STEPS) / "encoder"
    return ocp.PyTreeCheckpointer().restore(folder)


def assert_same_training(workdir, golden):
    ours, theirs = running.losses(workdir), running.losses(golden)
    assert list(ours) == list(range(1, NUM_STEPS + 1))
    np.testing.assert_allclose(
        list(ours.values()), list(theirs.values()), **TOLERANCE["devices"]
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, **TOLERANCE["parameters"]),
        parameters(workdir),
        parameters(golden),
    )


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    """An uninterrupted run of one process on one device."""
    workdir = tmp_path_factory.mktemp("golden")
    done = running.run("pretrain", *ARGUMENTS, f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return workdir


# Resident on the devices, and streamed from the host; each process its own shard.
@pytest.mark.parametrize(
    ("num_processes", "num_devices", "resident_bytes"), [(2, 2, 1 << 20), (4, 1, 0)]
)
def test_two_preempted_processes_equal_one_process(
    golden, tmp_path, num_processes, num_devices, resident_bytes
):
    arguments = (
        *ARGUMENTS,
        f"--workdir={tmp_path}",
        f"--config.data.resident_bytes={resident_bytes}",
    )
    with started(num_processes, *arguments, num_devices=num_devices) as everyone:
        running.wait_for_step(tmp_path, 7, everyone[0])
        everyone[-1].terminate()  # one host is told; all leave after the same step
        for code, output in finish(everyone):
            assert code == 143, output
            assert "Traceback" not in output
    stopped = int(max(running.losses(tmp_path)))
    assert running.digests(tmp_path, stopped)
    with started(num_processes, *arguments, num_devices=num_devices) as everyone:
        (code, first), *others = finish(everyone)
        assert code == 0, first
        assert f"Resumed from checkpoint {stopped}" in first
        assert f"in {num_processes} processes" in first
        assert f"Done: {NUM_STEPS} steps." in first
        for code, output in others:
            assert code == 0, output
            assert "loss" not in output and "Done" not in output
    assert_same_training(tmp_path, golden)
    (workdir,) = [path for path in tmp_path.iterdir() if path.name == "checkpoints"]
    assert not list(workdir.glob("*tmp*"))


@pytest.mark.parametrize("lost", [0, 1])
def test_after_a_kill_the_others_end_and_one_process_can_resume(golden, tmp_path, lost):
    arguments = (*ARGUMENTS, f"--workdir={tmp_path}")

    with started(2, *arguments) as everyone:
        running.wait_for_step(tmp_path, 60, everyone[0])  # 25 is saved
        os.killpg(everyone[lost].pid, signal.SIGKILL)
        began = time.monotonic()
        output, _ = everyone[1 - lost].communicate(timeout=60)
        assert everyone[1 - lost].returncode not in (0, None), output
        assert time.monotonic() - began < 60
        assert f"error: process {1 - lost} of 2" in output
        assert "Start the same command again on every host" in output
    alone = running.run("pretrain", *arguments, f"--workdir={tmp_path}")
    assert alone.returncode == 0, alone.stderr
    assert "Resumed from checkpoint" in alone.stderr
    assert_same_training(tmp_path, golden)


def test_all_processes_reject_a_different_config_in_one(tmp_path):
    other = {1: ("--config.method.temperature=0.3",)}
    with started(2, *ARGUMENTS, f"--workdir={tmp_path}", of_process=other) as everyone:
        for code, output in finish(everyone, seconds=90):
            assert code == 3, output
            assert "Processes [1] of 2" in output
    assert not (tmp_path / "metrics.jsonl").exists()


def test_all_processes_report_an_error_of_the_first(tmp_path):
    (tmp_path / "workdir").write_text("in the way")
    with started(2, *ARGUMENTS, f"--workdir={tmp_path / 'workdir'}") as everyone:
        for code, output in finish(everyone, seconds=90):
            assert code == 2, output
            assert "cannot be written to" in output


def test_rejects_partial_process_arguments(tmp_path):
    done = running.run(
        "pretrain", *ARGUMENTS, f"--workdir={tmp_path}", "--num_processes=2"
    )
    assert done.returncode == 2
    assert "Expected all of --coordinator" in done.stderr
