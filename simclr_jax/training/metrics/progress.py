"""Progress display of a run: a bar on a terminal, plain lines elsewhere."""

import datetime
import io
import sys
import threading
import time
from collections.abc import Mapping
from typing import final

SILENT_SECONDS = 10.0
"""A plain line is written if none was written for this time."""


@final
class Silence(io.TextIOBase):
    """A stream that discards everything."""

    def write(self, text: str) -> int:
        """Discards the text."""
        return len(text)


@final
class Progress:
    """Shows step, loss, images per second and remaining time.

    If the stream is not a terminal, it writes a line at every logged step, and a line
    without a loss after ``SILENT_SECONDS`` of silence, e.g. while the step compiles.
    """

    def __init__(
        self,
        *,
        num_steps: int,
        batch_size: int,
        start_step: int = 0,
        stream: io.TextIOBase | None = None,
    ):
        """Starts the clock.

        Args:
          num_steps: number of steps in the run.
          batch_size: number of images in a step.
          start_step: number of steps made before.
          stream: output stream; None: standard error.
        """
        self._stream = sys.stderr if stream is None else stream
        self._num_steps = num_steps
        self._batch_size = batch_size
        self._mark = (time.monotonic(), start_step)
        self._start_step = self._step = start_step
        self._bar = None
        self._wrote = threading.Event()
        self._is_closed = False
        if self._stream.isatty():
            import tqdm

            self._bar = tqdm.tqdm(
                total=num_steps,
                initial=start_step,
                unit="step",
                file=self._stream,
                dynamic_ncols=True,
                bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}"
                "{postfix}]",
            )
        elif not isinstance(self._stream, Silence):
            threading.Thread(target=self._beat, name="progress", daemon=True).start()

    def advance(self, step: int) -> None:
        """Moves the bar to ``step``."""
        self._step = step
        if self._bar is not None:
            self._bar.update(step - self._bar.n)

    def report(self, step: int, loss: float) -> float:
        """Shows the loss of a logged step.

        Args:
          step: number of updates made so far.
          loss: loss of that step, in nats.

        Returns:
          Images per second since the last report; the first report includes the
          compilation.
        """
        now = time.monotonic()
        last_time, last_step = self._mark
        self._mark = (now, step)
        rate = (step - last_step) * self._batch_size / max(now - last_time, 1e-9)
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss={loss:.4f}, {rate:,.0f} images/s")
            return rate
        self._write(f"step {step}/{self._num_steps} | loss {loss:.4f}", step, rate)
        return rate

    def note(self, step: int, values: Mapping[str, float]) -> None:
        """Shows numbers that an evaluator measured, on a line of their own.

        Args:
          step: number of updates made so far.
          values: numbers by name.
        """
        shown = " | ".join(f"{name} {value:.4f}" for name, value in values.items())
        line = f"step {step}/{self._num_steps} | {shown}"
        if self._bar is not None:
            self._bar.write(line, file=self._stream)
        else:
            print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Ends the display; the bar stays as it is."""
        self._is_closed = True
        self._wrote.set()
        if self._bar is not None:
            self._bar.close()

    def _write(self, text: str, step: int, rate: float) -> None:
        """Writes a plain line with the remaining time at a rate in images/s."""
        seconds = (self._num_steps - step) * self._batch_size / max(rate, 1e-9)
        left = datetime.timedelta(seconds=round(seconds))
        self._stream.write(f"{text} | {rate:,.0f} images/s | ETA {left}\n")
        self._stream.flush()
        self._wrote.set()

    def _beat(self) -> None:
        """Writes a line after every silent period; runs in a thread."""
        while not self._is_closed:
            if self._wrote.wait(SILENT_SECONDS):
                self._wrote.clear()
                continue
            try:
                self._write_waiting()
            except ValueError:  # The stream is closed.
                return

    def _write_waiting(self) -> None:
        step, (start_time, start_step) = self._step, self._mark
        seconds = time.monotonic() - start_time
        text = f"step {step}/{self._num_steps}"
        if step > start_step:
            rate = (step - start_step) * self._batch_size / seconds
            self._write(text, step, rate)
            return
        why = " (compiling the step)" if step == self._start_step else ""
        self._stream.write(f"{text} | running for {seconds:.0f} s{why}\n")
        self._stream.flush()
