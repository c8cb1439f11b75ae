"""What Orbax and TensorStore say about a failed save, in few words."""

import logging
import os
import re
import sys
from typing import Any

_OS_ERROR = re.compile(r"os_error_code='(\d+)'")


_ECHOES = (
    "_SignalingThread.run() raised an exception",
    "Task exception was never retrieved",
)


def describe(error: BaseException) -> str:
    """Returns what went wrong in a few words, e.g. ``No space left on device``.

    Args:
      error: TensorStore puts the number of the operating system's error at the end of
        half a page.
    """
    text = " ".join(str(error).split())
    found = _OS_ERROR.search(text)
    if found:
        return os.strerror(int(found[1]))
    return f"{type(error).__name__}: {text[:200]}"


def keep_short() -> None:
    """Drops what is printed beside the error that a failed save raises, for good.

    Orbax logs a traceback for each of its threads, asyncio one for each array that was
    not waited for, and TensorStore calls back, a
    thousand times, an event loop that the first error has closed. Some of it comes
    after the save has returned. What a thread raises is raised by the save too.
    """
    for name in ("absl", "asyncio"):
        logger = logging.getLogger(name)
        if _is_news not in logger.filters:
            logger.addFilter(_is_news)
    if not getattr(sys.unraisablehook, "ignores_closed_loops", False):
        sys.unraisablehook = _ignoring_closed_loops(sys.unraisablehook)


def _is_news(record: logging.LogRecord) -> bool:
    return not any(echo in str(record.msg) for echo in _ECHOES)


def _ignoring_closed_loops(before: Any) -> Any:
    def hook(unraisable: Any) -> None:
        error = unraisable.exc_value
        if not (
            isinstance(error, RuntimeError) and "Event loop is closed" in str(error)
        ):
            before(unraisable)

    marked: Any = hook
    marked.ignores_closed_loops = True
    return marked
