"""Runs that are killed, stopped, resumed and moved, and invalid requests."""

import os
import random
import signal
import subprocess
import time

import numpy as np
import pytest
from helpers import TOLERANCE
from programs import running

NUM_STEPS = 30
ARGUMENTS = (
    *running.TINY,
    f"--config.num_steps={NUM_STEPS}",
    # In this run no two values of a pooling window are equal, so rounding changes the
    # losses of 20 steps by less than 1e-5. With a tie it would be 1e-3, because of a
    # flipped arg-max and Adam.
    "--config.seed=5",
    "--config.checkpoint_every_steps=3",
    "--config.log_every_steps=1",
)


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    """An uninterrupted run on one device."""
    workdir = tmp_path_factory.mktemp("golden")
    done = running.run("pretrain", *ARGUMENTS, f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return workdir, done


def assert_same_run(workdir, golden):
    assert running.digests(workdir, NUM_STEPS) == running.digests(golden, NUM_STEPS)
    assert running.losses(workdir) == running.losses(golden)
    steps = [row["step"] for row in running.rows(workdir)]
    assert steps == list(range(1, NUM_STEPS + 1))


def test_prints_a_description_and_writes_metrics(golden):
    workdir, done = golden
    assert "learning rate 0 to 0.006 in" in done.stdout
    assert f"Done: {NUM_STEPS} steps." in done.stdout
    assert f"step {NUM_STEPS}/{NUM_STEPS} | loss" in done.stderr
    assert "images/s | ETA" in done.stderr
    assert "Traceback" not in done.stderr
    row = running.rows(workdir)[0]
    assert {"step", "loss", "learning_rate", "images_per_second"} <= set(row)
    assert sorted(p.name for p in (workdir / "checkpoints").iterdir()) == [
        "24",
        "27",
        "30",
    ]


def test_a_finished_run_does_nothing_when_started_again(golden):
    workdir, _ = golden
    before = running.digests(workdir, NUM_STEPS)
    again = running.run("pretrain", *ARGUMENTS, f"--workdir={workdir}")
    assert again.returncode == 0
    assert running.digests(workdir, NUM_STEPS) == before
    assert len(running.rows(workdir)) == NUM_STEPS


def test_kills_at_random_times_do_not_affect_results(golden, tmp_path):
    seed = random.SystemRandom().randrange(10**6)
    generator = random.Random(seed)
    print(f"seed of the kills: {seed}")
    for _ in range(3):
        process = running.start("pretrain", *ARGUMENTS, f"--workdir={tmp_path}")
        written = (
            len(running.rows(tmp_path)) if (tmp_path / "metrics.jsonl").exists() else 0
        )
        running.wait_for_step(tmp_path, min(written // 3 * 3 + 1, 25), process)
        time.sleep(generator.uniform(0, 0.3))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    done = running.run("pretrain", *ARGUMENTS, f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path, golden[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_saves_and_exits_with_143_on_sigterm(golden, tmp_path, number):
    process = running.start("pretrain", *ARGUMENTS, f"--workdir={tmp_path}")
    running.wait_for_step(tmp_path, 4, process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 143, output
    assert "the same command continues the run" in output
    assert "Traceback" not in output
    done = running.run("pretrain", *ARGUMENTS, f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "Resumed from checkpoint" in done.stderr
    assert_same_run(tmp_path, golden[0])


@pytest.mark.parametrize("num_devices", [2, 8])
def test_the_first_20_losses_do_not_depend_on_the_devices(
    golden, tmp_path, num_devices
):
    done = running.run(
        "pretrain",
        *ARGUMENTS,
        f"--workdir={tmp_path}",
        num_devices=num_devices,
    )
    assert done.returncode == 0, done.stderr
    one, many = running.losses(golden[0]), running.losses(tmp_path)
    steps = range(1, 21)
    np.testing.assert_allclose(
        [many[step] for step in steps],
        [one[step] for step in steps],
        **TOLERANCE["devices"],
    )


def test_resumes_on_another_number_of_devices(golden, tmp_path):
    process = running.start(
        "pretrain", *ARGUMENTS, f"--workdir={tmp_path}", num_devices=4
    )
    running.wait_for_step(tmp_path, 10, process)
    process.terminate()
    process.communicate(timeout=30)
    done = running.run("pretrain", *ARGUMENTS, f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    one, moved = running.losses(golden[0]), running.losses(tmp_path)
    steps = range(1, 21)
    np.testing.assert_allclose(
        [moved[step] for step in steps],
        [one[step] for step in steps],
        **TOLERANCE["devices"],
    )


def test_a_second_trainer_exits_with_the_holder_of_the_lock(tmp_path):
    process = running.start(
        "pretrain", *ARGUMENTS, "--config.num_steps=100000", f"--workdir={tmp_path}"
    )
    try:
        running.wait_for_step(tmp_path, 1, process)
        start = time.monotonic()
        second = running.run("pretrain", *ARGUMENTS, f"--workdir={tmp_path}")
        seconds = time.monotonic() - start
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert second.returncode == 7
    assert f"is in use by process {process.pid}" in second.stderr
    # The process itself may take 5 s; this allows for a busy machine.
    assert seconds < 10, seconds


def test_falls_back_from_a_truncated_checkpoint(golden, tmp_path):
    import shutil

    workdir = tmp_path / "run"
    shutil.copytree(golden[0], workdir)
    step = workdir / "checkpoints" / str(NUM_STEPS)
    largest = max(
        (p for p in (step / "encoder").rglob("*") if p.is_file()),
        key=lambda path: path.stat().st_size,
    )
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    done = running.run("pretrain", *ARGUMENTS, f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    assert f"Checkpoint {NUM_STEPS} is unreadable" in done.stderr
    assert f"Resumed from checkpoint {NUM_STEPS - 3}" in done.stderr
    assert_same_run(workdir, golden[0])


def test_rejects_another_config_in_the_workdir_with_the_differences(golden):
    done = running.run(
        "pretrain",
        *ARGUMENTS,
        "--config.method.temperature=0.7",
        f"--workdir={golden[0]}",
    )
    assert done.returncode == 3
    assert "method.temperature: 0.5 in the checkpoint, 0.7 now" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_non_finite_loss_stops_the_run(tmp_path):
    done = running.run(
        "pretrain",
        *ARGUMENTS,
        "--config.optimizer.name=sgd",
        "--config.optimizer.learning_rate=1e30",
        f"--workdir={tmp_path}",
    )
    assert done.returncode == 5, done.stderr
    assert "At step" in done.stderr or "holds NaN" in done.stderr
    assert "last good checkpoint is" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--config.data.source=tfds:nothing"], 4, "tfds:nothing is not prepared"),
        (["--config.data.source=mnits_sample"], 4, "Did you mean 'mnist_sample'"),
        (["--config.bacth_size=4"], 2, "Did you mean 'batch_size'"),
        (["--config.encoder.name=convnte"], 2, "Did you mean 'convnet'"),
        (["--config.batch_size=many"], 2, "batch_size"),
        (["--config=configs/nothing.py"], 2, "nothing.py"),
        (["--config=configs/mnist.py:somke"], 2, "Unknown variant 'somke'"),
        (["--wrokdir=/tmp/x"], 2, "wrokdir"),
        (["--config=mnits"], 2, "Did you mean 'mnist'?"),
        (["--workdir=/proc/none"], 2, "cannot be written to"),
        (["--workdir=gs://bucket/run"], 2, "Mount the bucket with gcsfuse"),
        (["--workdir=~nobody-here/run"], 2, "home folder of a user who is unknown"),
        (["--config.data.source=folder:s3://b/x"], 2, "is a URL; expected a path"),
        (["--config.data.data_dir=s3://b/x"], 2, "is a URL; expected a path"),
        (["--config.data.source=tfds:mnist", "--config.data.data_dir=/no"], 4, "/no"),
    ],
)
def test_rejects_invalid_input_with_one_message(tmp_path, arguments, code, message):
    done = running.run("pretrain", *ARGUMENTS, f"--workdir={tmp_path}/run", *arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_rejects_a_batch_that_does_not_divide_evenly(tmp_path):
    done = running.run("pretrain", *ARGUMENTS, f"--workdir={tmp_path}", num_devices=3)
    assert done.returncode == 2
    assert "batch_size must be a multiple of 3; got 16" in done.stderr


def test_rejects_missing_flags():
    done = running.run("pretrain")
    assert done.returncode == 2
    assert "pretrain needs --config=RECIPE (or FILE.py) and" in done.stderr


def test_reports_a_full_disk_before_training(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        done = running.run("pretrain", *ARGUMENTS, f"--workdir={tmp_path}")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert done.returncode == 6
    assert "MB free; a checkpoint needs" in done.stderr
