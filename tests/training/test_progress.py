import io

from simclr_jax import training


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_lines_where_there_is_no_terminal():
    stream = io.StringIO()
    progress = training.Progress(num_steps=10, batch_size=4, stream=stream)
    progress.advance(5)
    assert progress.report(5, 1.25) > 0
    progress.close()
    line = stream.getvalue()
    assert line.startswith("step 5/10 | loss 1.2500 | ")
    assert "images/s | ETA 0:00:0" in line


def test_a_bar_on_a_terminal():
    stream = Terminal()
    progress = training.Progress(
        num_steps=10, batch_size=4, start_step=2, stream=stream
    )
    progress.advance(6)
    progress.report(6, 1.25)
    progress.close()
    assert "6/10" in stream.getvalue()
    assert "loss=1.2500" in stream.getvalue()
    assert "images/s" in stream.getvalue()
