"""Goodput: the share of a run's time in which it trains.

What is lost goes to starting (opening data, restoring), compiling, waiting for data,
saving and evaluating; everything else is training. Waiting is counted where the devices
had nothing left to do when the batch came: at most a step too much.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

KINDS = ("start", "compile", "data", "save", "evaluate")


class Goodput:
    """Sums up the seconds that a process does not train."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        """Starts the clock; until ``training_starts`` all time is lost to starting.

        Args:
          clock: returns seconds; never goes back.
        """
        self._clock = clock
        self._began = clock()
        self._lost: dict[str, float] = dict.fromkeys(KINDS, 0.0)

    def training_starts(self) -> None:
        """Ends the time that is lost to starting."""
        self._lost["start"] = self._clock() - self._began

    @contextlib.contextmanager
    def lost_to(
        self, kind: str, *, if_true: Callable[[], bool] = lambda: True
    ) -> Iterator[None]:
        """Counts the time in a ``with`` block as lost.

        Args:
          kind: one of ``KINDS``.
          if_true: asked at the end of the block, whether it was.
        """
        began = self._clock()
        try:
            yield
        finally:
            if if_true():
                self._lost[kind] += self._clock() - began

    def read(self) -> dict[str, float]:
        """Returns the share of time spent training, and the seconds lost by kind.

        Returns:
          ``goodput`` in [0, 1], ``start_seconds``, ``compile_seconds``,
          ``data_seconds``, ``save_seconds`` and ``evaluate_seconds``, all since the
          clock was started.
        """
        elapsed = max(self._clock() - self._began, 1e-9)
        share = max(1 - sum(self._lost.values()) / elapsed, 0.0)
        seconds = {f"{kind}_seconds": lost for kind, lost in self._lost.items()}
        return {"goodput": share} | seconds
