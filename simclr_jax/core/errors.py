"""Errors that a user can cause, and the exit code of each.

Every message states what was given, what was expected and what to do. The programs
print the message alone; a traceback indicates a bug in this library.
"""


class UserError(ValueError):
    """A wrong argument, flag, file or name: something the caller can correct."""

    exit_code = 2


class ConfigMismatchError(UserError):
    """The working directory holds a run of another config or of other data."""

    exit_code = 3


class DataError(UserError):
    """A data set is missing, not prepared, unreadable or of the wrong shape."""

    exit_code = 4


class NonFiniteError(UserError):
    """The loss or the gradient became NaN or infinite."""

    exit_code = 5


class CheckpointError(UserError):
    """A checkpoint cannot be written, or none can be read."""

    exit_code = 6


class WorkdirBusyError(UserError):
    """Another process is training in the working directory."""

    exit_code = 7


class StoppedError(Exception):
    """The process received a stop signal when there was nothing to save."""


PREEMPTED_EXIT_CODE = 143
"""Returned after SIGTERM or Ctrl-C, once the state is saved: 128 + SIGTERM."""
