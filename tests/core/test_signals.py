import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from simclr_jax.core import errors, signals


@pytest.fixture(autouse=True)
def _handlers_are_restored():
    before = [signal.getsignal(number) for number in signals.NAMES]
    yield
    assert [signal.getsignal(number) for number in signals.NAMES] == before
    assert signal.set_wakeup_fd(-1) == -1


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", list(signals.NAMES))
def test_the_first_signal_is_recorded_and_acknowledged(number, capfd):
    seen = []
    with (
        signals.noted(seen.append) as is_watched,
        signals.waiting_for("the upload"),
    ):
        assert is_watched
        signals.raise_if_stopped()
        os.kill(os.getpid(), number)
        wait_until(lambda: seen)
        assert seen == [number]
        with pytest.raises(errors.StoppedError, match=r"before the first step"):
            signals.raise_if_stopped()
    signals.raise_if_stopped()
    text = capfd.readouterr().err
    assert f"{signals.NAMES[number]}: waiting for the upload" in text
    assert "A second signal ends the process at once" in text


def test_watched_restores_the_handlers():
    before = signal.getsignal(signal.SIGINT)
    with signals.watched() as is_watched, signals.watched():
        assert is_watched
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_may_raise_false_lets_the_process_continue():
    seen = []
    with signals.noted(seen.append, may_raise=False):
        os.kill(os.getpid(), signal.SIGTERM)
        wait_until(lambda: seen)
        signals.raise_if_stopped()


def test_other_threads_cannot_watch():
    answers = []

    def try_to():
        with signals.noted(answers.append) as is_watched:
            answers.append(is_watched)

    thread = threading.Thread(target=try_to)
    thread.start()
    thread.join()
    assert answers == [False]


# A calculation in C holds up Python's own handlers, not these.
PROCESS = """
import contextlib, hashlib, sys
from simclr_jax.core import signals
signals.install()
with signals.noted(print) if "noted" in sys.argv else contextlib.nullcontext():
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", 10**9)
"""


def start(*arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", list(signals.NAMES))
def test_a_signal_ends_a_process_with_nothing_to_save(number):
    process = start()
    process.send_signal(number)
    _, text = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert text == f"\n{signals.NAMES[number]}: exited immediately.\n"


@pytest.mark.parametrize("number", list(signals.NAMES))
def test_the_second_signal_ends_a_process_inside_a_c_call(number):
    process = start("noted")
    process.send_signal(number)
    process.stderr.readline()
    assert "waiting for the current step" in process.stderr.readline()
    process.send_signal(number)
    _, text = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert "exited immediately" in text
    assert "Traceback" not in text
