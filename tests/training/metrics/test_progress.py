import io
import time

from simclr_jax import training
from simclr_jax.training.metrics import progress as progress_lib


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_writes_plain_lines_without_a_terminal():
    stream = io.StringIO()
    progress = training.metrics.Progress(num_steps=10, batch_size=4, stream=stream)
    progress.advance(5)
    assert progress.report(5, 1.25) > 0
    progress.close()
    line = stream.getvalue()
    assert line.startswith("step 5/10 | loss 1.2500 | ")
    assert "images/s | ETA 0:00:0" in line


def test_shows_a_bar_on_a_terminal():
    stream = Terminal()
    progress = training.metrics.Progress(
        num_steps=10, batch_size=4, start_step=2, stream=stream
    )
    progress.advance(6)
    progress.report(6, 1.25)
    progress.close()
    assert "6/10" in stream.getvalue()
    assert "loss=1.2500" in stream.getvalue()
    assert "images/s" in stream.getvalue()


def test_writes_a_plain_line_after_a_silent_period(monkeypatch):
    monkeypatch.setattr(progress_lib, "SILENT_SECONDS", 0.1)
    stream = io.StringIO()
    progress = training.metrics.Progress(num_steps=10, batch_size=4, stream=stream)
    wait_for(stream, "step 0/10 | running for 0 s (compiling the step)\n")
    progress.advance(3)
    wait_for(stream, "step 3/10 | ")
    assert "loss" not in stream.getvalue()
    progress.report(4, 1.25)
    progress.advance(4)
    wait_for(stream, "step 4/10 | running for ")
    progress.close()
    time.sleep(0.2)
    written = stream.getvalue()
    time.sleep(0.3)
    assert stream.getvalue() == written


def wait_for(stream, text):
    deadline = time.monotonic() + 10
    while text not in stream.getvalue():
        assert time.monotonic() < deadline, stream.getvalue()
        time.sleep(0.01)
