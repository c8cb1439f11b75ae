"""Profiler traces of selected steps, for Perfetto or TensorBoard."""

import logging
import pathlib
from typing import final

import jax

from simclr_jax.core import errors, types
from simclr_jax.training import state

_log = logging.getLogger("simclr_jax")


def parse_steps(text: str) -> tuple[int, int]:
    """Parses ``"FIRST:LAST"``, e.g. ``"10:15"``, the steps of a trace.

    Args:
      text: two step numbers, counted from 1, with 1 <= FIRST <= LAST.

    Returns:
      The first and the last step.

    Raises:
      UserError: if the text has another form.

    Example:
      >>> from simclr_jax.training import profiling
      >>> profiling.parse_steps("10:15")
      (10, 15)
    """
    first, _, last = text.partition(":")
    if first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last):
        return int(first), int(last)
    raise errors.UserError(
        "--profile_steps must be FIRST:LAST, the first and the last step of the trace "
        f"counted from 1, e.g. 10:15; got {text!r}."
    )


@final
class Profile:
    """Hook that writes a profiler trace of the steps ``first`` to ``last``.

    Step 1 includes the compilation; start later to see the steady state.
    """

    def __init__(self, directory: pathlib.Path, *, first: int, last: int):
        """Creates the hook.

        Args:
          directory: folder in which the trace is written.
          first: first step of the trace, counted from 1.
          last: last step of the trace.
        """
        self._directory = directory
        self._first = first
        self._last = last
        self._is_tracing = False

    def __call__(
        self, step: int, state: state.TrainState, metrics: types.Metrics
    ) -> None:
        """Starts the trace before its first step and ends it after its last."""
        del state
        if self._is_tracing and step >= self._last:
            self._stop(metrics)
        elif not self._is_tracing and self._first <= step + 1 <= self._last:
            jax.block_until_ready(metrics)
            jax.profiler.start_trace(str(self._directory))
            self._is_tracing = True

    def close(self) -> None:
        """Ends the trace if the run ended before its last step."""
        if self._is_tracing:
            self._stop(())

    def _stop(self, metrics: object) -> None:
        jax.block_until_ready(metrics)
        jax.profiler.stop_trace()
        self._is_tracing = False
        _log.info("The trace of the steps is in %s.", self._directory)
