"""Immediate handling of stop signals. Imports nothing heavy.

Python runs a signal handler only after the current C call returns, and a compilation
can take half a minute. Therefore the interpreter writes the number of each signal to a
socket (``signal.set_wakeup_fd``), and a thread reads it there.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from simclr_jax.core import errors

NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}
"""Signals that stop the process, with the names used in messages."""

_FLUSH_SECONDS = 0.5


class _Watch:
    """State of the signal watcher of this process.

    Attributes:
      note: called in the watching thread at the first signal; None: exit immediately.
      waiting_for: operation that must end before the process can exit.
      is_noted: whether a first signal was received and recorded.
      may_raise: whether ``raise_if_stopped`` may raise in this process.
      previous: the handlers before ``install``, by signal.
      sockets: reading and writing end for the signal numbers, and the wake-up
        descriptor before ``install``.
    """

    note: Callable[[signal.Signals], None] | None = None
    waiting_for = "the current step"
    is_noted = False
    may_raise = True
    previous: dict[signal.Signals, Any]
    sockets: tuple[socket.socket, socket.socket, int] | None = None


_watch = _Watch()


def install(*, numbers: Sequence[signal.Signals] = tuple(NAMES)) -> bool:
    """Starts to watch for signals; by default each ends the process at once.

    The exit code is 128 plus the number of the signal, 130 for Ctrl-C and 143 for
    SIGTERM. Inside ``noted`` the first signal is recorded instead.

    Args:
      numbers: the signals.

    Returns:
      Whether they are watched: Python allows this only in the main thread.

    Example:
      >>> import signal
      >>> from simclr_jax.core import signals
      >>> signals.install(numbers=(signal.SIGTERM,))
      True
      >>> signals.uninstall()
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    if _watch.sockets is None:
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        _watch.sockets = reader, writer, before
        _watch.previous = {
            number: signal.signal(number, lambda number, frame: None)
            for number in numbers
        }
        threading.Thread(
            target=_read, args=[reader], name="signals", daemon=True
        ).start()
    return True


def uninstall() -> None:
    """Restores the handlers from before ``install``.

    Example:
      >>> from simclr_jax.core import signals
      >>> signals.uninstall()
    """
    if _watch.sockets is None:
        return
    for number, handler in _watch.previous.items():
        if handler is not None:  # None: not installed by Python
            signal.signal(number, handler)
    _, writer, before = _watch.sockets
    signal.set_wakeup_fd(before)
    _watch.sockets, _watch.is_noted = None, False
    writer.close()  # ends the thread, which closes the other end


@contextlib.contextmanager
def watched(*, numbers: Sequence[signal.Signals] = tuple(NAMES)) -> Iterator[bool]:
    """Watches for signals as ``install`` does while the ``with`` block lasts.

    Args:
      numbers: the signals, unless some are watched already.

    Yields:
      Whether signals are watched; see ``install``.

    Example:
      >>> import signal
      >>> from simclr_jax.core import signals
      >>> with signals.watched(numbers=(signal.SIGTERM,)) as is_watched:
      ...     print(is_watched)
      True
    """
    was_watched = _watch.sockets is not None
    is_watched = install(numbers=numbers)
    try:
        yield is_watched
    finally:
        if is_watched and not was_watched:
            uninstall()


@contextlib.contextmanager
def noted(
    note: Callable[[signal.Signals], None],
    *,
    numbers: Sequence[signal.Signals] = tuple(NAMES),
    may_raise: bool = True,
) -> Iterator[bool]:
    """Records the first signal; the second one ends the process at once.

    Args:
      note: called with the signal, in another thread.
      numbers: the signals, unless some are watched already.
      may_raise: whether ``raise_if_stopped`` raises after the signal; False if other
        processes would wait for this one.

    Yields:
      Whether signals are watched; see ``install``.

    Example:
      >>> import signal
      >>> from simclr_jax.core import signals
      >>> with signals.noted(print, numbers=(signal.SIGTERM,), may_raise=True):
      ...     signals.raise_if_stopped()
    """
    with watched(numbers=numbers) as is_watched:
        before, _watch.note = _watch.note, note if is_watched else None
        _watch.may_raise = may_raise
        try:
            yield is_watched
        finally:
            _watch.note = before


@contextlib.contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """Sets what the message for a first signal says it waits for, inside the block.

    Args:
      what: ends the sentence "Waiting for ...".

    Example:
      >>> from simclr_jax.core import signals
      >>> with signals.waiting_for("the checkpoint"):
      ...     pass
    """
    before, _watch.waiting_for = _watch.waiting_for, what
    try:
        yield
    finally:
        _watch.waiting_for = before


def raise_if_stopped() -> None:
    """Raises if a signal was recorded; called where there is nothing to save.

    Raises:
      StoppedError: after a first signal inside ``noted``.

    Example:
      >>> from simclr_jax.core import signals
      >>> signals.raise_if_stopped()
    """
    if _watch.is_noted and _watch.may_raise:
        raise errors.StoppedError(
            "Stopped before the first step; there was nothing to save. The same "
            "command starts or continues the run."
        )


def _read(reader: socket.socket) -> None:
    with reader:
        while received := reader.recv(1):
            if received[0] in NAMES:
                _handle(signal.Signals(received[0]))


def _handle(number: signal.Signals) -> None:
    """Records a first signal if possible; otherwise ends the process."""
    name, note = NAMES[number], _watch.note
    if note is None or _watch.is_noted:
        _tell(f"{name}: exited immediately.")
        _leave(128 + number)
    _watch.is_noted = True
    _tell(
        f"{name}: waiting for {_watch.waiting_for}; then the state is saved and the "
        "process exits. A second signal ends the process at once."
    )
    note(number)


def _tell(text: str) -> None:
    """Writes a line unbuffered, since another thread may hold the buffer's lock."""
    with contextlib.suppress(OSError):
        os.write(2, f"\n{text}\n".encode())


def _leave(code: int) -> NoReturn:
    """Ends the process from any thread."""
    flush = threading.Thread(target=sys.stdout.flush, daemon=True)
    flush.start()
    flush.join(_FLUSH_SECONDS)
    os._exit(code)
