"""Lock of a working directory, so that two processes never train in the same one."""

import contextlib
import json
import os
import pathlib
import socket
import threading
import time
from typing import Any, final

import filelock

from simclr_jax.core import errors

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 60.0
"""A holder on another host without a heartbeat for this time is regarded as dead."""


@final
class WorkdirLock:
    """Lock of a working directory; use it in a ``with`` statement.

    On one host, the operating system's lock of the file ``.lock`` is authoritative; it
    ends with the process in any case. The file ``LOCK`` contains the holder. Hosts that
    share a disk do not always share file locks, so the holder also updates the
    modification time of ``LOCK`` every ``HEARTBEAT_SECONDS``.

    Example:
      >>> import pathlib, tempfile
      >>> from simclr_jax.training.checkpoints import WorkdirLock
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     with WorkdirLock(pathlib.Path(folder)):
      ...         "pid" in pathlib.Path(folder, "LOCK").read_text()
      True
    """

    def __init__(self, workdir: pathlib.Path):
        """Creates the lock; ``__enter__`` acquires it.

        Args:
          workdir: an existing directory.
        """
        self._path = pathlib.Path(workdir) / "LOCK"
        self._lock = filelock.FileLock(self._path.with_name(".lock"))
        self._stop = threading.Event()

    def __enter__(self) -> "WorkdirLock":
        """Acquires the lock.

        Raises:
          WorkdirBusyError: with the process that holds it.
        """
        try:
            self._lock.acquire(blocking=False)
        except filelock.Timeout as error:
            raise self._busy() from error
        if self._is_held_elsewhere():
            self._lock.release()
            raise self._busy()
        self._path.write_text(json.dumps(_describe_self()) + "\n")
        threading.Thread(target=self._beat, name="workdir-lock", daemon=True).start()
        return self

    def __exit__(self, *unused: object) -> None:
        """Releases the lock; an empty file remains."""
        self._stop.set()
        with contextlib.suppress(OSError):  # A full disk must not hide another error.
            self._path.write_text("")
        self._lock.release()

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(self._path)

    def _is_held_elsewhere(self) -> bool:
        holder = _read_holder(self._path)
        if holder.get("host", socket.gethostname()) == socket.gethostname():
            return False
        # By the clock of the disk, which may differ from that of this host.
        probe = self._path.with_name("LOCK.clock")
        probe.write_text("")
        now = probe.stat().st_mtime
        probe.unlink()
        return now - self._path.stat().st_mtime < STALE_SECONDS

    def _busy(self) -> errors.WorkdirBusyError:
        holder = _read_holder(self._path)
        return errors.WorkdirBusyError(
            f"{str(self._path.parent)!r} is in use by process "
            f"{holder.get('pid', 'unknown')} on host {holder.get('host', 'unknown')}, "
            f"since {holder.get('since', 'unknown')}. Stop it, or use another workdir."
        )


def _describe_self() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _read_holder(path: pathlib.Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text() or "{}")
    except (OSError, json.JSONDecodeError):
        return {}
