"""Being asked to leave: SIGTERM from a scheduler, Ctrl-C from a person."""

import signal
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Notes that the process was asked to stop; use it in a ``with`` statement.

    The first signal is noted, so that the loop can save and leave. The second one has
    its usual effect at once.

    Attributes:
      requested: whether a signal has come.
    """

    def __init__(self):
        """Notes nothing yet; ``__enter__`` installs the handlers."""
        self.requested = False
        self._previous = {}

    def __enter__(self) -> "StopRequest":
        """Installs the handlers."""
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *unused: object) -> None:
        """Puts back the handlers that were there before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.requested = True
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
