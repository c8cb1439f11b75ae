"""Signals that arrive while a run starts: during imports, decoding, compilation."""

import os
import pathlib
import signal
import subprocess
import time

import numpy as np
import PIL.Image
import pytest
from programs import running

ARGUMENTS = (*running.TINY, "--config.num_steps=100000")


@pytest.fixture
def start(tmp_path):
    """Starts runs without a compilation cache; kills remaining ones at the end."""
    started = []

    def start_one(*arguments):
        process = subprocess.Popen(
            running.command("pretrain", *arguments, f"--workdir={tmp_path / 'run'}"),
            cwd=running.ROOT,
            env=running.environment(JAX_COMPILATION_CACHE_DIR=str(tmp_path / "cache")),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start_one
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_until_signals_are_caught(process):
    """Waits until the process has installed its handlers, before its imports."""
    status = pathlib.Path(f"/proc/{process.pid}/status")
    if not status.exists():
        pytest.skip("needs /proc")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("SigCgt"))
        if int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.005)
    raise AssertionError("the handlers were not installed")


def read_until(process, text):
    """Returns the lines up to the first that contains a text."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"{text!r} is not in\n{''.join(lines)}")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_during_the_imports_ends_at_once(start, number, code):
    process = start(*ARGUMENTS)
    wait_until_signals_are_caught(process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == code, output
    assert output.strip().endswith(": exited immediately.")
    assert "Traceback" not in output


def test_a_signal_during_compilation_says_what_is_waited_for(start, tmp_path):
    process = start(*ARGUMENTS)
    read_until(process, "optimizer ")
    process.send_signal(signal.SIGINT)
    said = read_until(process, "Ctrl-C: waiting for ")
    assert "step 1/" not in said
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 143, output
    assert "Stopped at step 1 and saved" in output
    assert "Traceback" not in output
    assert (tmp_path / "run" / "checkpoints" / "1").is_dir()


def test_a_second_signal_ends_a_compilation(start, tmp_path):
    process = start(*ARGUMENTS)
    read_until(process, "optimizer ")
    process.send_signal(signal.SIGTERM)
    read_until(process, "SIGTERM: waiting for ")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130, output
    assert output.strip().endswith("Ctrl-C: exited immediately.")
    assert "Traceback" not in output


def test_a_signal_during_decoding_ends_soon_without_partial_files(start, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    first = folder / "0.png"
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8)
    PIL.Image.fromarray(noise).save(first)
    for number in range(1, 3000):
        os.link(first, folder / f"{number}.png")
    process = start(*ARGUMENTS, f"--config.data.source=folder:{folder}")
    read_until(process, "images once, into")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 143, output
    assert "SIGTERM: waiting for the d" in output  # data to be ready, decoding to stop
    assert "Stopped before the first step" in output
    assert "Traceback" not in output
    assert not list((tmp_path / "decoded").iterdir())
