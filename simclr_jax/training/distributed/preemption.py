"""Being asked to leave: SIGTERM from a scheduler, Ctrl-C from a person."""

import contextlib
import logging
import os
import signal

import jax
from jax.experimental import multihost_utils

from simclr_jax.core import signals

_log = logging.getLogger("simclr_jax")


class StopRequest:
    """Notes that the process was asked to stop; use it in a ``with`` statement.

    The first signal is noted and answered by a line at once, so that the loop can save
    and leave. The second one ends the process at once, with exit code 130 or 143. In
    another thread than the main one, where Python allows no handlers, nothing is noted.

    Of several processes each may get the signal, or only one, as when one host of a
    pod is preempted. JAX then listens to SIGTERM and agrees on the step after which
    all leave; Ctrl-C is handed on as SIGTERM.

    Attributes:
      requested: whether a signal has come.
    """

    def __init__(self):
        """Notes nothing yet; ``__enter__`` starts to watch."""
        self.requested = False
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "StopRequest":
        """Starts to watch for signals."""
        if jax.process_count() > 1:
            # A handler for SIGTERM would take the place of JAX's own.
            only = (signal.SIGINT,)
            watch = signals.noted(self._hand_on, numbers=only, may_raise=False)
        else:
            watch = signals.noted(self._note)
        if not self._stack.enter_context(watch):
            _log.warning(
                "Not in the main thread: SIGTERM and Ctrl-C cannot be noted here, so "
                "they do not save the state. The run continues from its checkpoints."
            )
        return self

    def __exit__(self, *unused: object) -> None:
        """Puts back what was there before."""
        self._stack.close()

    def is_due(self, call: int) -> bool:
        """Returns whether to leave now; every process gets the same answer.

        Args:
          call: counts how often the question was asked, the same in all processes,
            which must ask after every step.
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
