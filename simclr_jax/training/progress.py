"""What a person sees of a run: a bar on a terminal, plain lines elsewhere."""

import datetime
import io
import sys
import time
from collections.abc import Mapping


class Silence(io.TextIOBase):
    """A stream for what nobody is to see."""

    def write(self, text: str) -> int:
        """Forgets the text."""
        return len(text)


class Progress:
    """Step, loss, images per second and time left."""

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
          num_steps: steps in the run.
          batch_size: images in a step.
          start_step: steps that were made before.
          stream: where to write; None: standard error.
        """
        self._stream = sys.stderr if stream is None else stream
        self._num_steps = num_steps
        self._batch_size = batch_size
        self._mark = (time.monotonic(), start_step)
        self._bar = None
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

    def advance(self, step: int) -> None:
        """Moves the bar to ``step``."""
        if self._bar is not None:
            self._bar.update(step - self._bar.n)

    def report(self, step: int, loss: float) -> float:
        """Shows the loss of a logged step.

        Args:
          step: updates made so far.
          loss: the loss of that step, in nats.

        Returns:
          Images per second since the last report; at the first one, the time that it
          took to compile is in it.
        """
        now = time.monotonic()
        last_time, last_step = self._mark
        self._mark = (now, step)
        rate = (step - last_step) * self._batch_size / max(now - last_time, 1e-9)
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss={loss:.4f}, {rate:,.0f} images/s")
            return rate
        seconds = (self._num_steps - step) * self._batch_size / max(rate, 1e-9)
        left = datetime.timedelta(seconds=round(seconds))
        self._stream.write(
            f"step {step}/{self._num_steps} | loss {loss:.4f} | {rate:,.0f} images/s | "
            f"ETA {left}\n"
        )
        self._stream.flush()
        return rate

    def note(self, step: int, values: Mapping[str, float]) -> None:
        """Shows numbers that were measured beside the training, in a line.

        Args:
          step: updates made so far.
          values: numbers by name.
        """
        shown = " | ".join(f"{name} {value:.4f}" for name, value in values.items())
        line = f"step {step}/{self._num_steps} | {shown}"
        if self._bar is not None:
            self._bar.write(line, file=self._stream)
        else:
            print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Leaves the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
