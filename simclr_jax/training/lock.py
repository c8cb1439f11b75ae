"""A lock on the working directory: two trainers would destroy each other's steps."""

import json
import os
import pathlib
import socket
import threading
import time
from typing import Any

from simclr_jax.core import errors

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 60.0
"""A holder on another host that has been silent for so long is taken for dead."""


class WorkdirLock:
    """Held while a process trains in a directory; use it in a ``with`` statement.

    On one host the kernel's file lock decides, which ends with the process however it
    ends. Hosts that share a disk need not share file locks, so the holder also renews
    the file's time every ``HEARTBEAT_SECONDS``.
    """

    def __init__(self, workdir: pathlib.Path):
        """Remembers the directory; ``__enter__`` takes the lock.

        Args:
          workdir: an existing directory.
        """
        self._path = pathlib.Path(workdir) / "LOCK"
        self._file: Any = None
        self._stop = threading.Event()

    def __enter__(self) -> "WorkdirLock":
        """Takes the lock.

        Raises:
          WorkdirBusyError: names the process that holds it.
        """
        import fcntl

        file = self._path.open("a+")
        holder = _read_holder(file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_held = self._is_held_elsewhere(holder)
        except BlockingIOError:
            is_held = True
        if is_held:
            file.close()
            raise self._busy(holder)
        file.truncate(0)
        file.write(json.dumps(_describe_self()) + "\n")
        file.flush()
        self._file = file
        threading.Thread(target=self._beat, name="workdir-lock", daemon=True).start()
        return self

    def __exit__(self, *unused: object) -> None:
        """Gives the lock back; an empty file stays."""
        self._stop.set()
        self._file.truncate(0)
        self._file.close()

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            os.utime(self._path)

    def _is_held_elsewhere(self, holder: dict[str, Any]) -> bool:
        if holder.get("host", socket.gethostname()) == socket.gethostname():
            return False
        # The disk's own clock, which may differ from this host's.
        probe = self._path.with_name("LOCK.clock")
        probe.write_text("")
        now = probe.stat().st_mtime
        probe.unlink()
        return now - self._path.stat().st_mtime < STALE_SECONDS

    def _busy(self, holder: dict[str, Any]) -> errors.WorkdirBusyError:
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


def _read_holder(file: Any) -> dict[str, Any]:
    file.seek(0)
    try:
        return json.loads(file.read() or "{}")
    except json.JSONDecodeError:
        return {}
