"""Stop requests: SIGTERM from a scheduler, Ctrl-C from a user."""

import contextlib
import logging
import os
import signal
from typing import final

import jax
from jax.experimental import multihost_utils

from simclr_jax.core import signals

_log = logging.getLogger("simclr_jax")


@final
class StopRequest:
    """Records signals that request the process to stop; use it in a ``with`` statement.

    The first signal is recorded and acknowledged by a printed line, so that the loop
    can save and leave. The second one ends the process immediately, with exit code 130
    or 143. Outside the main thread, where Python allows no signal handlers, nothing is
    recorded.

    In a run of several processes, all of them may receive the signal, or only one, e.g.
    if one host of a pod is preempted. JAX then handles SIGTERM and makes all processes
    agree on the step after which they leave; Ctrl-C is forwarded as SIGTERM.

    Attributes:
      requested: whether a signal was received.

    Example:
      >>> from simclr_jax.training import distributed
      >>> with distributed.StopRequest() as stop:
      ...     stop.is_due(0)
      False
    """

    def __init__(self):
        """Creates the object; ``__enter__`` installs the signal handlers."""
        self.requested = False
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "StopRequest":
        """Installs the signal handlers."""
        if jax.process_count() > 1:
            # A handler for SIGTERM would replace JAX's own.
            only = (signal.SIGINT,)
            watch = signals.noted(self._hand_on, numbers=only, may_raise=False)
        else:
            watch = signals.noted(self._note)
        if not self._stack.enter_context(watch):
            _log.warning(
                "Not in the main thread: SIGTERM and Ctrl-C cannot be handled here, so "
                "they do not save the state. The run continues from its checkpoints."
            )
        return self

    def __exit__(self, *unused: object) -> None:
        """Restores the previous signal handlers."""
        self._stack.close()

    def is_due(self, call: int) -> bool:
        """Returns whether to stop now; the answer is the same in every process.

        Args:
          call: number of the call, from 0. All processes must call this method after
            every call of the step, with the same numbers.
        """
        if jax.process_count() > 1:
            self.requested = multihost_utils.reached_preemption_sync_point(call)
        return self.requested

    def _note(self, number: signal.Signals) -> None:
        del number
        self.requested = True

    def _hand_on(self, number: signal.Signals) -> None:
        if number == signal.SIGINT:
            os.kill(os.getpid(), signal.SIGTERM)
