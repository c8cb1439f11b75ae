"""Short messages for the errors of Orbax and TensorStore when a save fails."""

import logging
import os
import re
import sys
from typing import Any

_OS_ERROR = re.compile(r"os_error_code='(\d+)'")

_DUPLICATES = (
    "_SignalingThread.run() raised an exception",
    "Task exception was never retrieved",
    "Future exception was never retrieved",
)


def describe(error: BaseException) -> str:
    """Describes an error in a few words, e.g. ``No space left on device``.

    Args:
      error: an exception; TensorStore appends the error number of the operating system
        to a long text.

    Returns:
      The message of the operating system, or the first 200 characters of the text.
    """
    text = " ".join(str(error).split())
    found = _OS_ERROR.search(text)
    if found:
        return os.strerror(int(found[1]))
    return f"{type(error).__name__}: {text[:200]}"


def keep_short() -> None:
    """Suppresses, permanently, the output that duplicates the error of a failed save.

    Orbax logs a traceback for each of its threads, asyncio logs one for each array that
    was not awaited, and TensorStore calls back an event loop that the first error has
    closed. Some of this is printed after the save has returned. The save itself raises
    every error of its threads, so no information is lost.
    """
    for name in ("absl", "asyncio"):
        logger = logging.getLogger(name)
        if _is_no_duplicate not in logger.filters:
            logger.addFilter(_is_no_duplicate)
    if not getattr(sys.unraisablehook, "ignores_closed_loops", False):
        sys.unraisablehook = _ignoring_closed_loops(sys.unraisablehook)


def _is_no_duplicate(record: logging.LogRecord) -> bool:
    return not any(text in str(record.msg) for text in _DUPLICATES)


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
