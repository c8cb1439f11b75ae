import os
import signal
import threading
import time

import pytest

from simclr_jax import training


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_records_the_first_signal_and_restores_the_handlers(number):
    before = signal.getsignal(number)
    with training.distributed.StopRequest() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        deadline = time.monotonic() + 10
        while not stop.requested:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert stop.is_due(0)
    assert signal.getsignal(number) == before


def test_warns_outside_the_main_thread(caplog):
    answers = []

    def train():
        with training.distributed.StopRequest() as stop:
            answers.append(stop.is_due(0))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert answers == [False]
    assert "Not in the main thread" in caplog.text
