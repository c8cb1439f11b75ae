"""Being asked to leave: SIGTERM from a scheduler, Ctrl-C from a person."""

import os
import signal
from types import FrameType

import jax
from jax.experimental import multihost_utils

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Notes that the process was asked to stop; use it in a ``with`` statement.

    The first signal is noted, so that the loop can save and leave. The second one has
    its usual effect at once.

    Of several processes each may get the signal, or only one, as when one host of a
    pod is preempted. JAX then listens to SIGTERM and agrees on the step after which
    all leave; Ctrl-C is handed on as SIGTERM.

    Attributes:
      requested: whether a signal has come.
    """

    def __init__(self):
        """Notes nothing yet; ``__enter__`` installs the handlers."""
        self.requested = False
        self._previous = {}

    def __enter__(self) -> "StopRequest":
        """Installs the handlers."""
        handlers = dict.fromkeys(_SIGNALS, self._note)
        if jax.process_count() > 1:
            # A handler for SIGTERM would take the place of JAX's own.
            handlers = {signal.SIGINT: self._hand_on}
        for number, handler in handlers.items():
            self._previous[number] = signal.signal(number, handler)
        return self

    def __exit__(self, *unused: object) -> None:
        """Puts back the handlers that were there before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def is_due(self, call: int) -> bool:
        """Returns whether to leave now; every process gets the same answer.

        Args:
          call: counts how often the question was asked, the same in all processes,
            which must ask after every step.
        """
        if jax.process_count() > 1:
            self.requested = multihost_utils.reached_preemption_sync_point(call)
        return self.requested

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.requested = True
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)

    def _hand_on(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
