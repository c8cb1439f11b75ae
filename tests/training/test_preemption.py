import os
import signal

import pytest

from simclr_jax import training


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_noted_the_second_has_its_usual_effect(number):
    before = signal.getsignal(number)
    with training.StopRequest() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        assert signal.getsignal(number) == signal.SIG_DFL
    assert signal.getsignal(number) == before
