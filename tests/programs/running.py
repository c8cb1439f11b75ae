"""Helpers that run the programs in separate processes, as users do."""

import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]

TINY = (
    "--config=mnist:smoke",
    "--config.batch_size=16",
    "--config.augmentation.size=12",
    "--config.evaluation.size=12",
    "--config.data.source=synthetic:14x14x1:64",
)


def environment(num_devices=1, **changes):
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(num_devices),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        **changes,
    }


def command(program, *arguments):
    return [sys.executable, "-m", "simclr_jax", program, *map(str, arguments)]


def start(program, *arguments, num_devices=1):
    return subprocess.Popen(
        command(program, *arguments),
        cwd=ROOT,
        env=environment(num_devices),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(program, *arguments, num_devices=1, timeout=200, cwd=ROOT, **changes):
    return subprocess.run(
        command(program, *arguments),
        cwd=cwd,
        env=environment(num_devices, **changes),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def rows(workdir):
    text = pathlib.Path(workdir, "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def losses(workdir):
    return {row["step"]: row["loss"] for row in rows(workdir)}


def digests(workdir, step):
    """Returns the digest of every array of a checkpoint; equal if equal bit for bit."""
    meta = json.loads(
        pathlib.Path(workdir, "checkpoints", str(step), "meta", "metadata").read_text()
    )
    return meta["page"]["digests"]


def wait_for_step(workdir, step, process, seconds=120):
    """Waits until a run has logged a number of steps."""
    path = workdir / "metrics.jsonl"
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if path.exists() and path.read_text().count("\n") >= step:
            return
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise AssertionError(f"step {step} was not reached: {process.communicate()[0]}")
