"""A disk that fills up during training: exit code 6, one message, no traceback."""

import subprocess
import sys

import pytest
import small_disk
from programs import running

ARGUMENTS = (
    *running.TINY,
    "--config.num_steps=40",
    "--config.checkpoint_every_steps=1",
    "--config.keep_checkpoints=100",
)

LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
os.execv(sys.executable, [sys.executable, "-m", "simclr_jax", *sys.argv[1:]])
"""


def check_failed(code, output, reason):
    assert code == 6, output
    assert output.count(reason) == 3
    assert output.count("Training continues.") == 2
    error = output.split("error: ")[1]
    assert "That was failure 3 in a row: free some space" in error
    assert len(error.splitlines()) == 1, error
    for word in ("Traceback", "Event loop", "ValueError"):
        assert word not in output


def test_a_full_disk_ends_the_run_with_one_message(tmp_path):
    with small_disk.mounted(tmp_path, kilobytes=10_000):
        done = running.run("pretrain", *ARGUMENTS, f"--workdir={tmp_path}/run")
        assert running.rows(tmp_path / "run")
    check_failed(done.returncode, done.stdout + done.stderr, "MB free; a checkpoint")


def test_failed_writes_end_the_run_and_leave_no_folders(tmp_path):
    pytest.importorskip("resource")
    cache = {"JAX_ENABLE_COMPILATION_CACHE": "0"}  # it would keep truncated files
    done = subprocess.run(
        [
            *(sys.executable, "-c", LIMITED, "pretrain"),
            *ARGUMENTS,
            f"--workdir={tmp_path}/run",
        ],
        cwd=running.ROOT,
        env=running.environment(**cache),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    check_failed(done.returncode, done.stdout + done.stderr, "(File too large)")
    assert not list((tmp_path / "run" / "checkpoints").iterdir())
