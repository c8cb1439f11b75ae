"""Writers of metrics: ``metrics.jsonl``, and optionally TensorBoard."""

import contextlib
import errno
import json
import logging
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Protocol, final, runtime_checkable

from simclr_jax.core import errors

_log = logging.getLogger("simclr_jax")


@runtime_checkable
class Writer(Protocol):
    """Protocol of an output for the metrics of logged steps."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the ``values`` of ``step``."""
        ...

    def close(self) -> None:
        """Closes the output."""
        ...


@final
class JsonLinesWriter:
    """Writes one JSON object per logged step, each on a complete line.

    A run that resumes at step s drops the lines of later steps and any incomplete line,
    so every step appears once.
    """

    def __init__(self, path: pathlib.Path, *, resume_step: int = 0):
        """Opens the file for appending.

        Args:
          path: the file; created if missing.
          resume_step: number of updates made so far; lines of later steps are dropped.
        """
        self._path = pathlib.Path(path)
        kept = [row for row in read_json_lines(path) if row["step"] <= resume_step]
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in kept))
        os.replace(temporary, self._path)
        # Unbuffered: a buffer would retry a write that has failed.
        self._file = self._path.open("ab", buffering=0)
        self._has_failed = False

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Appends a line with ``step`` and ``values``.

        If the disk is full, the line is dropped, and a warning is logged once: a failed
        checkpoint ends a run, but a failed line of metrics does not.
        """
        row = {"step": step} | {name: _rounded(value) for name, value in values.items()}
        line = json.dumps(row).encode() + b"\n"
        end = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(end)
            if not self._has_failed:
                _log.warning(
                    "Metrics cannot be written to %s (%s): lines are missing from "
                    "step %d on.",
                    self._path,
                    error.strerror,
                    step,
                )
            self._has_failed = True

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


@final
class TensorBoardWriter:
    """Writes TensorBoard event files; requires the extra ``tensorboard``."""

    def __init__(self, directory: pathlib.Path):
        """Opens a new event file.

        Args:
          directory: folder of the event file.

        Raises:
          UserError: if the package ``tensorboardX`` is not installed.
        """
        try:
            import tensorboardX
        except ImportError as error:
            raise errors.UserError(
                "config.tensorboard needs the package tensorboardX. Run: "
                'pip install "simclr_jax[tensorboard]"'
            ) from error
        self._writer = tensorboardX.SummaryWriter(str(directory))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes each of ``values`` as a scalar of ``step``."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flushes and closes the file."""
        self._writer.close()


def read_json_lines(path: pathlib.Path) -> list[dict[str, Any]]:
    """Reads ``metrics.jsonl``, skipping incomplete lines.

    Args:
      path: the file; may be missing.

    Returns:
      The objects, in order; empty if the file is missing.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(errors="replace").splitlines(keepends=True):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if line.endswith("\n") and isinstance(row, dict) and "step" in row:
            rows.append(row)
    return rows


def _rounded(value: float) -> float:
    """Rounds to nine digits, enough for a float32 to survive the round trip."""
    return float(f"{value:.9g}")
