"""Saving and restoring the checkpoints of a run, with Orbax.

Each step is a folder with the items ``encoder``, ``method`` (the other arrays of the
method), ``opt`` and ``meta`` (JSON metadata: step, config, description of the encoder,
versions, fingerprint of the data, digest of every array).

Orbax makes saving asynchronous and atomic. This module adds that arrays are verified
when read, that an unreadable step is renamed and an older one restored instead, and
that a failed save is reported as soon as it fails.

Arrays are stored without their sharding, so a run can resume on other devices.
"""

import concurrent.futures
import dataclasses
import logging
import pathlib
import shutil
from collections.abc import Callable
from typing import Any, final

import jax
import numpy as np
import orbax.checkpoint as ocp

from simclr_jax.core import errors, paths
from simclr_jax.training.checkpoints import digest, leftovers, save_errors, step_folder

MAX_FAILED_SAVES = 3
"""Number of consecutive failed saves that ends a run."""

_log = logging.getLogger("simclr_jax")


@final
@dataclasses.dataclass(frozen=True)
class Restored:
    """A restored checkpoint.

    Attributes:
      step: number of updates made when it was saved.
      items: trees of NumPy arrays in nested dicts, by item.
      meta: its metadata.
    """

    step: int
    items: dict[str, Any]
    meta: dict[str, Any]


@final
class Checkpoints:
    """Saves and restores checkpoints in a folder that one process uses at a time.

    Example:
      >>> import pathlib, tempfile
      >>> import numpy as np
      >>> from simclr_jax.training.checkpoints import Checkpoints
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     checkpoints = Checkpoints(pathlib.Path(folder))
      ...     items = {"encoder": {"kernel": np.ones((2, 3), np.float32)}}
      ...     checkpoints.save(10, items, {"config": {}})
      ...     restored = checkpoints.restore_newest(items)
      ...     checkpoints.close()
      >>> restored.step
      10
    """

    def __init__(self, directory: pathlib.Path, *, keep: int = 3):
        """Opens the folder; creates it if missing.

        Args:
          directory: contains one folder per step. Remains of an interrupted save are
            deleted, so no other process may write there (see ``lock.WorkdirLock``).
          keep: number of steps to keep; older ones are deleted.
        """
        self._directory = paths.local_path(directory, what="checkpoints")
        self._directory.mkdir(parents=True, exist_ok=True)
        self._manager = ocp.CheckpointManager(
            self._directory,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep,
                cleanup_tmp_directories=True,
                create=False,
                # Asynchronous by our own thread: after a failed asynchronous save of
                # Orbax, every later call of the manager fails, even `close`.
                enable_async_checkpointing=False,
                multiprocessing_options=step_folder.single_process(),
            ),
        )
        self._writer = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
        self._pending: tuple[int, concurrent.futures.Future[None]] | None = None
        self._num_failed = 0
        self.last_good: int | None = None

    def steps(self) -> list[int]:
        """Returns the saved steps, oldest first; waits for a pending save."""
        self.wait()
        return sorted(self._manager.all_steps())

    def save(self, step: int, items: dict[str, Any], meta: dict[str, Any]) -> None:
        """Copies the arrays and saves them in the background.

        Checks, digests and writing happen in a thread. A failed save is logged and
        training continues; ``MAX_FAILED_SAVES`` consecutive failures end the run.

        Args:
          step: number of updates made so far.
          items: trees of arrays in nested dicts, by item.
          meta: metadata to store, JSON values.

        Raises:
          NonFiniteError: if an array of the previous save contains NaN or infinity;
            that save wrote nothing.
          CheckpointError: after ``MAX_FAILED_SAVES`` consecutive failures.
        """
        self.wait()
        # Copies: on a CPU, NumPy would share memory that the next step overwrites.
        items = jax.tree.map(np.array, items)
        self._pending = step, self._writer.submit(self._write, step, items, meta)

    def poll(self) -> None:
        """Processes the result of the pending save if it has ended; does not wait.

        Raises:
          NonFiniteError: see ``wait``.
          CheckpointError: see ``wait``.
        """
        if self._pending is not None and self._pending[1].done():
            self.wait()

    def wait(self) -> None:
        """Waits until the pending save is committed or has failed.

        Raises:
          NonFiniteError: if an array contains NaN or infinity; nothing was written.
          CheckpointError: after ``MAX_FAILED_SAVES`` consecutive failures.
        """
        if self._pending is None:
            return
        (step, saved), self._pending = self._pending, None
        try:
            saved.result()
        except errors.NonFiniteError:
            raise
        except Exception as error:
            self._report_failure(step, error)
            return
        self.last_good = step
        self._num_failed = 0

    def restore_newest(
        self,
        expected: dict[str, Any],
        *,
        check_meta: Callable[[dict[str, Any]], None] = lambda meta: None,
    ) -> Restored | None:
        """Restores the newest readable step; renames the unreadable ones.

        Args:
          expected: trees of arrays (or their shapes) in nested dicts, by item.
          check_meta: called with the metadata of a step before its arrays are read; an
            exception from it ends the search.

        Returns:
          The restored step, or None if there is no step.

        Raises:
          CheckpointError: if none of the steps is readable, or if the newest readable
            one contains another model.
        """
        reasons = []
        for step in reversed(self.steps()):
            folder = self._directory / str(step)
            try:
                meta = step_folder.read_meta(folder)
            except Exception as error:
                reasons.append(self._set_aside(step, error))
                continue
            step_folder.check_can_continue(meta)
            check_meta(meta)
            for name, tree in expected.items():
                digest.compare_shapes(tree, meta["digests"][name])
            try:
                items = {
                    name: step_folder.read_item(folder, name, tree, meta)
                    for name, tree in expected.items()
                }
            except Exception as error:
                reasons.append(self._set_aside(step, error))
                continue
            self.last_good = step
            return Restored(step, items, meta)
        if reasons:
            raise errors.CheckpointError(
                f"No checkpoint in {str(self._directory)!r} is readable; they were "
                "renamed, nothing was deleted. Use another workdir to start anew.\n"
                + "\n".join(reasons)
            )
        return None

    def close(self) -> None:
        """Waits for the pending save and closes Orbax.

        Raises:
          NonFiniteError: see ``wait``.
          CheckpointError: if the last save failed.
        """
        try:
            self.wait()
        finally:
            self._writer.shutdown()
            try:
                self._manager.close()
            except Exception as error:  # Must not hide an earlier error.
                _log.warning(
                    "Orbax could not be closed (%s).", save_errors.describe(error)
                )
            if self._num_failed:
                leftovers.remove_for_good(self._directory)
        if 0 < self._num_failed < MAX_FAILED_SAVES:  # More have been raised already.
            raise errors.CheckpointError(
                "The last checkpoint could not be written; the last good one is "
                f"{_describe(self.last_good)}."
            )

    def _set_aside(self, step: int, error: Exception) -> str:
        folder = self._directory / str(step)
        target = step_folder.set_aside(folder, suffix="unreadable")
        self._manager.reload()
        reason = f"Checkpoint {step} is unreadable ({save_errors.describe(error)})."
        _log.warning("%s Renamed to %s; trying an older one.", reason, target)
        return reason

    def _report_failure(self, step: int, error: Exception) -> None:
        self._num_failed += 1
        leftovers.remove(self._directory)
        message = (
            f"Checkpoint {step} could not be written ({save_errors.describe(error)}). "
            f"The last good one is {_describe(self.last_good)}."
        )
        if self._num_failed >= MAX_FAILED_SAVES:
            raise errors.CheckpointError(
                f"{message} That was failure {self._num_failed} in a row: free some "
                "space or repair the folder, then start the same command again."
            ) from error
        _log.warning("%s Training continues.", message)

    def _write(self, step: int, items: dict[str, Any], meta: dict[str, Any]) -> None:
        """Writes a step and waits until it is committed; runs in the writer thread."""
        _check_finite(step, items, self.last_good)
        digests = {name: digest.digest_leaves(item) for name, item in items.items()}
        header = {"format": step_folder.FORMAT, "step": step, "digests": digests}
        arguments: dict[str, Any] = {}
        for name, item in items.items():
            arguments[name] = ocp.args.PyTreeSave(item)
        arguments["meta"] = ocp.args.JsonSave(digest.seal(header | meta))
        num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(items))
        check_free_space(self._directory, num_bytes)
        save_errors.keep_short()
        self._manager.save(step, args=ocp.args.Composite(**arguments), force=True)


def check_free_space(directory: pathlib.Path, num_bytes: int) -> None:
    """Raises unless the disk has space for arrays of ``num_bytes`` and a margin.

    Args:
      directory: a folder on the disk.
      num_bytes: size of the arrays.

    Raises:
      CheckpointError: with the free and the required space.
    """
    free = shutil.disk_usage(directory).free
    needed = num_bytes * 3 // 2 + (1 << 20)
    if free < needed:
        raise errors.CheckpointError(
            f"{str(directory)!r} has {free / 1e6:.1f} MB free; a checkpoint needs "
            f"{needed / 1e6:.1f} MB. Free some space or use another workdir."
        )


def _check_finite(step: int, items: dict[str, Any], last_good: int | None) -> None:
    for path, leaf in jax.tree_util.tree_flatten_with_path(items)[0]:
        if leaf.dtype.kind == "f" and not np.isfinite(leaf).all():
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise errors.NonFiniteError(
                f"{name!r} holds NaN or infinity after step {step}; it was not saved. "
                f"The last good checkpoint is {_describe(last_good)}."
            )


def _describe(step: int | None) -> str:
    return "none" if step is None else f"step {step}"
