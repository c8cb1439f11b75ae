"""Where metrics go: ``metrics.jsonl`` always, TensorBoard where asked for."""

import contextlib
import errno
import json
import logging
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from simclr_jax.core import errors

_log = logging.getLogger("simclr_jax")


@runtime_checkable
class Writer(Protocol):
    """Takes the metrics of a logged step."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Records the values of a step."""
        ...

    def close(self) -> None:
        """Ends the recording."""
        ...


class JsonLinesWriter:
    """One JSON object per logged step, one line each, never half a line.

    A run that resumes at step s drops what was written for later steps, and a line
    that was cut short, so that no step stands twice.
    """

    def __init__(self, path: pathlib.Path, *, resume_step: int = 0):
        """Opens the file for more lines.

        Args:
          path: the file; made where it is not there.
          resume_step: updates made so far; lines of later steps are dropped.
        """
        self._path = pathlib.Path(path)
        kept = [row for row in read_json_lines(path) if row["step"] <= resume_step]
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in kept))
        os.replace(temporary, self._path)
        # Without a buffer, which would try once more to write what has failed.
        self._file = self._path.open("ab", buffering=0)
        self._has_failed = False

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Appends a line with ``step`` and the values.

        Where the disk is full the line is left out, which is said once: a checkpoint
        that cannot be written ends a run, a line of metrics does not.
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
                    "Metrics cannot be written to %s (%s): lines are left out from "
                    "step %d on.",
                    self._path,
                    error.strerror,
                    step,
                )
            self._has_failed = True

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class TensorBoardWriter:
    """Event files for TensorBoard; needs the extra ``tensorboard``."""

    def __init__(self, directory: pathlib.Path):
        """Opens a new event file.

        Args:
          directory: where it goes.

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
        """Records every value as a scalar."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flushes and closes the file."""
        self._writer.close()


def read_json_lines(path: pathlib.Path) -> list[dict[str, Any]]:
    """Reads ``metrics.jsonl``; a last line that was cut short is left out.

    Args:
      path: the file; need not exist.

    Returns:
      The objects, in order.
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
    """Nine digits: enough for a float32 to survive the round trip."""
    return float(f"{value:.9g}")
