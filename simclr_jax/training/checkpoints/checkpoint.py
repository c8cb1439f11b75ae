"""Checkpoints of a run: Orbax, and what Orbax does not do by itself.

A step is a folder with the items ``encoder``, ``method`` (the method's other arrays),
``opt`` and ``meta`` (JSON: step, config, description of the encoder, versions,
fingerprint of the data, digest of every array). In format 1 the first two were one item
``model``; its encoder can be read, but its run cannot be continued. Saving is
asynchronous and atomic. Added here: arrays are verified when they are read, an
unreadable step is set aside and an older one used, and a failed save is noticed as soon
as it has failed.

Arrays are stored without their placement, so a run may resume on other devices.
"""

import concurrent.futures
import dataclasses
import logging
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from simclr_jax.core import errors, paths
from simclr_jax.training.checkpoints import digest, save_errors

FORMAT = 2
READABLE_FORMATS = (1, 2)
MAX_FAILED_SAVES = 3

_log = logging.getLogger("simclr_jax")


@dataclasses.dataclass(frozen=True)
class Restored:
    """What was read.

    Attributes:
      step: updates made when it was saved.
      items: the arrays by item, as NumPy arrays in nested dicts.
      meta: the JSON page.
    """

    step: int
    items: dict[str, Any]
    meta: dict[str, Any]


class Checkpoints:
    """The checkpoints in one folder, for the one process that trains there."""

    def __init__(self, directory: pathlib.Path, *, keep: int = 3):
        """Opens the folder, making it where it is not there.

        Args:
          directory: holds a folder for every step. Leftovers of an interrupted save are
            removed, so the caller must be alone here (``lock.WorkdirLock``).
          keep: how many of the newest steps are kept.
        """
        self._directory = paths.local_path(directory, what="checkpoints")
        self._directory.mkdir(parents=True, exist_ok=True)
        self._manager = ocp.CheckpointManager(
            self._directory,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep,
                cleanup_tmp_directories=True,
                create=False,
                # The writer's thread waits; an asynchronous save that has failed
                # would make the manager fail for ever, also when it is closed.
                enable_async_checkpointing=False,
                multiprocessing_options=_alone(),
            ),
        )
        self._writer = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
        self._pending: tuple[int, concurrent.futures.Future[None]] | None = None
        self._num_failed = 0
        self.last_good: int | None = None

    def steps(self) -> list[int]:
        """Returns the steps that are there, oldest first; waits for a save to end."""
        self.wait()
        return sorted(self._manager.all_steps())

    def save(self, step: int, items: dict[str, Any], meta: dict[str, Any]) -> None:
        """Starts to save; returns once the arrays are copied.

        Checking, digests and writing go on beside the training. A save that fails is
        reported and counted; training goes on, and the third failure in a row ends it.

        Args:
          step: updates made so far.
          items: arrays by item, in nested dicts.
          meta: what else is to be known, as JSON.

        Raises:
          NonFiniteError: if an array of the save before holds NaN or infinity; nothing
            of it was written.
          CheckpointError: after ``MAX_FAILED_SAVES`` failures in a row.
        """
        self.wait()
        # Copies: on a CPU, NumPy would share memory that the next step overwrites.
        items = jax.tree.map(np.array, items)
        self._pending = step, self._writer.submit(self._write, step, items, meta)

    def poll(self) -> None:
        """Notices whether the save that is under way has ended, without waiting.

        Raises:
          NonFiniteError: as ``wait``.
          CheckpointError: as ``wait``.
        """
        if self._pending is not None and self._pending[1].done():
            self.wait()

    def wait(self) -> None:
        """Waits until the save that is under way is committed or has failed.

        Raises:
          NonFiniteError: if an array holds NaN or infinity; nothing was written.
          CheckpointError: after ``MAX_FAILED_SAVES`` failures in a row.
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
        """Reads the newest step that is readable; sets aside those that are not.

        Args:
          expected: arrays (or their shapes) by item, in nested dicts.
          check_meta: called with the page of a step before its arrays are read; what it
            raises ends the search.

        Returns:
          What was read, or None where there is no step at all.

        Raises:
          CheckpointError: if there are steps but none is readable, or if the newest
            readable one holds another model.
        """
        reasons = []
        for step in reversed(self.steps()):
            try:
                meta = read_meta(self._directory / str(step))
            except Exception as error:
                reasons.append(self._set_aside(step, error))
                continue
            _check_format(meta)
            check_meta(meta)
            for name, tree in expected.items():
                digest.compare_shapes(tree, meta["digests"][name])
            try:
                items = {
                    name: read_item(self._directory / str(step), name, tree, meta)
                    for name, tree in expected.items()
                }
            except Exception as error:
                reasons.append(self._set_aside(step, error))
                continue
            self.last_good = step
            return Restored(step, items, meta)
        if reasons:
            raise errors.CheckpointError(
                f"No checkpoint in {str(self._directory)!r} is readable; they were set "
                "aside, nothing was deleted. Use another workdir to start anew.\n"
                + "\n".join(reasons)
            )
        return None

    def close(self) -> None:
        """Waits for what is under way and ends Orbax's threads.

        Raises:
          NonFiniteError: as ``wait``.
          CheckpointError: if the last save did not succeed.
        """
        try:
            self.wait()
        finally:
            self._writer.shutdown()
            try:
                self._manager.close()
            except Exception as error:  # must not hide what went wrong before it
                _log.warning(
                    "Orbax could not be closed (%s).", save_errors.describe(error)
                )
            if self._num_failed:  # one item may be written after another has failed
                self._remove_leftovers()
        if 0 < self._num_failed < MAX_FAILED_SAVES:  # more were raised before
            raise errors.CheckpointError(
                "The last checkpoint could not be written; the last good one is "
                f"{_describe(self.last_good)}."
            )

    def _set_aside(self, step: int, error: Exception) -> str:
        target = set_aside(self._directory / str(step), suffix="unreadable")
        self._manager.reload()
        reason = f"Checkpoint {step} is unreadable ({save_errors.describe(error)})."
        _log.warning("%s Set aside as %s; trying an older one.", reason, target)
        return reason

    def _report_failure(self, step: int, error: Exception) -> None:
        self._num_failed += 1
        self._remove_leftovers()
        message = (
            f"Checkpoint {step} could not be written ({save_errors.describe(error)}). "
            f"The last good one is {_describe(self.last_good)}."
        )
        if self._num_failed >= MAX_FAILED_SAVES:
            raise errors.CheckpointError(
                f"{message} That was failure {self._num_failed} in a row: free some "
                "space or mend the folder, then start the same command again."
            ) from error
        _log.warning("%s Training goes on.", message)

    def _remove_leftovers(self) -> None:
        """Removes what failed saves have left."""
        for leftover in self._directory.glob("*.orbax-checkpoint-tmp"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _write(self, step: int, items: dict[str, Any], meta: dict[str, Any]) -> None:
        """Writes a step and returns once it is committed; in the writer's thread."""
        _check_finite(step, items, self.last_good)
        digests = {name: digest.digest_leaves(item) for name, item in items.items()}
        page = {"format": FORMAT, "step": step, "digests": digests} | meta
        arguments: dict[str, Any] = {}
        for name, item in items.items():
            arguments[name] = ocp.args.PyTreeSave(item)
        arguments["meta"] = ocp.args.JsonSave(digest.seal(page))
        num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(items))
        check_free_space(self._directory, num_bytes)
        save_errors.keep_short()
        self._manager.save(step, args=ocp.args.Composite(**arguments), force=True)


def check_free_space(directory: pathlib.Path, num_bytes: int) -> None:
    """Raises unless a folder has room for arrays of ``num_bytes`` and some more.

    Raises:
      CheckpointError: with the free and the needed space.
    """
    free = shutil.disk_usage(directory).free
    needed = num_bytes * 3 // 2 + (1 << 20)
    if free < needed:
        raise errors.CheckpointError(
            f"{str(directory)!r} has {free / 1e6:.1f} MB free; a checkpoint needs "
            f"{needed / 1e6:.1f} MB. Free some space or use another workdir."
        )


def read_meta(step_directory: pathlib.Path) -> dict[str, Any]:
    """Reads and verifies the page of a step.

    Args:
      step_directory: the folder of one step.

    Returns:
      ``format``, ``step``, ``digests`` and what the program added.

    Raises:
      CheckpointError: if it is not what was written, or of an unknown format.
    """
    reader = ocp.Checkpointer(
        ocp.JsonCheckpointHandler(), multiprocessing_options=_alone()
    )
    page = digest.unseal(reader.restore(_absolute(step_directory) / "meta"))
    if page["format"] not in READABLE_FORMATS:
        raise errors.CheckpointError(
            f"The checkpoint has format {page['format']}; this version reads "
            f"{' and '.join(map(str, READABLE_FORMATS))}."
        )
    return page


def read_item(
    step_directory: pathlib.Path, name: str, expected: Any, meta: dict[str, Any]
) -> Any:
    """Reads and verifies an item of a step, or a part of it.

    Args:
      step_directory: the folder of one step.
      name: the item, e.g. ``"model"``.
      expected: arrays (or their shapes) in nested dicts: what to read.
      meta: the page of the step.

    Returns:
      NumPy arrays in the structure of ``expected``.

    Raises:
      CheckpointError: if an array is not what was saved.
    """
    blank = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), expected)
    as_numpy = ocp.RestoreArgs(restore_type=np.ndarray)
    arguments = ocp.args.PyTreeRestore(
        item=blank,
        restore_args=jax.tree.map(lambda _: as_numpy, blank),
        partial_restore=True,
    )
    reader = ocp.Checkpointer(
        ocp.PyTreeCheckpointHandler(multiprocessing_options=_alone()),
        multiprocessing_options=_alone(),
    )
    item = reader.restore(_absolute(step_directory) / name, args=arguments)
    digest.verify_leaves(item, meta["digests"][name])
    return item


def _check_format(meta: dict[str, Any]) -> None:
    """Raises for a run of an earlier format, which can be read but not continued."""
    if meta["format"] != FORMAT:
        raise errors.ConfigMismatchError(
            f"The workdir holds a run in checkpoint format {meta['format']}, which "
            f"can be evaluated but not continued; this version writes {FORMAT}. Use "
            "another workdir; --config.init_from.checkpoint=DIR starts from its "
            "arrays."
        )


def _absolute(step_directory: pathlib.Path) -> pathlib.Path:
    """Returns the path of a step as Orbax wants it, absolute."""
    return paths.local_path(step_directory, what="checkpoint")


def _alone() -> Any:
    """Tells Orbax to wait for no other process: one alone writes and reads."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    me = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=me,
        active_processes={me},
        barrier_sync_key_prefix=f"process_{me}",
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


def set_aside(path: pathlib.Path, *, suffix: str) -> pathlib.Path | None:
    """Renames what is in the way; nothing is ever deleted.

    Args:
      path: a file or folder; need not exist.
      suffix: the new name is ``NAME.SUFFIX``, or with a number where that is taken.

    Returns:
      The new path, or None where there was nothing.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return None
    target, number = path.with_name(f"{path.name}.{suffix}"), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.{suffix}-{number}")
    return path.rename(target)


def find_steps(directory: pathlib.Path) -> list[int]:
    """Returns the steps in a folder of checkpoints, newest first, reading nothing."""
    names = [path.name for path in pathlib.Path(directory).iterdir() if path.is_dir()]
    return sorted((int(name) for name in names if name.isdigit()), reverse=True)
