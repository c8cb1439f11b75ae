"""Goodput: the fraction of a run's time that is spent training.

Time is lost to starting (opening data, restoring), compiling, waiting for data, saving
and evaluating; the rest is training. Waiting for data counts as lost only if the
devices were idle when the batch arrived, so it is overestimated by one step at most.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import final

KINDS = ("start", "compile", "data", "save", "evaluate")


@final
class Goodput:
    """Accumulates the seconds in which a process does not train, by cause."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        """Starts the clock; time before ``training_starts`` counts as ``start``.

        Args:
          clock: returns seconds, monotonic.
        """
        self._clock = clock
        self._began = clock()
        self._lost: dict[str, float] = dict.fromkeys(KINDS, 0.0)

    def training_starts(self) -> None:
        """Ends the time that counts as ``start``."""
        self._lost["start"] = self._clock() - self._began

    @contextlib.contextmanager
    def lost_to(
        self, kind: str, *, if_true: Callable[[], bool] = lambda: True
    ) -> Iterator[None]:
        """Counts the time in a ``with`` block as lost.

        Args:
          kind: cause, one of ``KINDS``.
          if_true: called at the end of the block; the time is counted if it returns
            True.
        """
        began = self._clock()
        try:
            yield
        finally:
            if if_true():
                self._lost[kind] += self._clock() - began

    def read(self) -> dict[str, float]:
        """Returns the fraction of time spent training, and the seconds lost by cause.

        Returns:
          ``goodput`` in [0, 1], ``start_seconds``, ``compile_seconds``,
          ``data_seconds``, ``save_seconds`` and ``evaluate_seconds``, all since the
          clock was started.
        """
        elapsed = max(self._clock() - self._began, 1e-9)
        share = max(1 - sum(self._lost.values()) / elapsed, 0.0)
        seconds = {f"{kind}_seconds": lost for kind, lost in self._lost.items()}
        return {"goodput": share} | seconds
