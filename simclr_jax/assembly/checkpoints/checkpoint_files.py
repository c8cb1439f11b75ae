"""Finding and reading checkpoints (of format 1 and later) without a config."""

import logging
import pathlib
from collections.abc import Callable
from typing import Any, TypeVar, final

import jax
import numpy as np

from simclr_jax import training
from simclr_jax.core import errors
from simclr_jax.training import session

T = TypeVar("T")

_log = logging.getLogger("simclr_jax")


def read_newest(
    path: pathlib.Path,
    read: Callable[[pathlib.Path], T],
    *,
    step: int | None = None,
) -> T:
    """Reads the newest readable checkpoint of a run.

    If a checkpoint cannot be read, a warning is logged and an older one is tried. The
    directory is not modified.

    Args:
      path: the workdir of a run, or its folder of checkpoints.
      read: reads the folder of one step; an exception means that it is unreadable.
      step: the step to read; None: the newest readable one.

    Returns:
      The result of ``read``.

    Raises:
      CheckpointError: if there is no such checkpoint, or none is readable.
    """
    folder = pathlib.Path(path)
    if not folder.is_dir():
        raise errors.CheckpointError(
            f"{str(folder)!r} is not a folder. Expected the workdir of a run."
        )
    if (folder / session.CHECKPOINTS).is_dir():
        folder = folder / session.CHECKPOINTS
    found = training.checkpoints.find_steps(folder)
    if not found or (step is not None and step not in found):
        raise errors.CheckpointError(
            f"No checkpoint{'' if step is None else f' of step {step}'} in "
            f"{str(folder)!r}; steps there: {found or 'none'}. Expected the workdir of "
            "a pretraining run."
        )
    reasons = []
    for candidate in found if step is None else [step]:
        try:
            return read(folder.absolute() / str(candidate))
        except _GiveUp as error:
            raise error.reason from error
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            reasons.append(f"Checkpoint {candidate} is unreadable ({text}).")
            _log.warning("%s", reasons[-1])
    raise errors.CheckpointError(
        f"No checkpoint in {str(folder)!r} is readable.\n" + "\n".join(reasons)
    )


@final
class _GiveUp(Exception):
    """Carries an error that reading an older checkpoint would not avoid."""

    def __init__(self, reason: errors.UserError):
        super().__init__(str(reason))
        self.reason = reason


def give_up(reason: errors.UserError) -> Exception:
    """Returns an exception for ``read`` to raise: it ends the search with an error."""
    return _GiveUp(reason)


def read_arrays(
    path: pathlib.Path, *, step: int | None = None
) -> dict[str, np.ndarray]:
    """Reads all arrays of the method in a checkpoint, without the optimizer's.

    Args:
      path: the workdir of a run, or its folder of checkpoints.
      step: the step to read; None: the newest readable one.

    Returns:
      NumPy arrays by path, as in ``"encoder/stem/conv/kernel"``.

    Raises:
      CheckpointError: if there is no such checkpoint, or none is readable.
    """
    return read_newest(path, _read_arrays, step=step)


def read_part(
    step_directory: pathlib.Path, meta: dict[str, Any], part: str, expected: Any
) -> Any:
    """Reads a part of a method from the folder of one step.

    Args:
      step_directory: the folder of one step.
      meta: its metadata.
      part: ``"encoder"`` or ``"target/encoder"``.
      expected: arrays or shapes in nested dicts.

    Returns:
      NumPy arrays in the structure of ``expected``.

    Raises:
      CheckpointError: if the part is missing, or contains other arrays.
    """
    item, _, inside = _locate(meta, part)
    names = inside.split("/") if inside else []
    for name in reversed(names):
        expected = {name: expected}
    saved = meta["digests"].get(item, {})
    if inside:
        saved = {p: d for p, d in saved.items() if p.startswith(f"{inside}/")}
    training.checkpoints.compare_shapes(expected, saved)
    wanted = {_path_name(path) for path, _ in jax.tree.leaves_with_path(expected)}
    if extra := sorted(saved.keys() - wanted):
        raise errors.CheckpointError(
            f"The checkpoint contains {len(extra)} arrays that this encoder lacks, "
            f"such as {', '.join(extra[:3])}; it was written for another model."
        )
    found = training.checkpoints.read_item(step_directory, item, expected, meta)
    for name in names:
        found = found[name]
    return found


def _path_name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _locate(meta: dict[str, Any], part: str) -> tuple[str, str, str]:
    """Returns the item that contains a part, and the path of the part inside it."""
    if meta["format"] == 1:
        return "model", "/", part
    return ("encoder", "/", "") if part == "encoder" else ("method", "/", part)


def _read_arrays(step_directory: pathlib.Path) -> dict[str, np.ndarray]:
    meta = training.checkpoints.read_meta(step_directory)
    arrays: dict[str, np.ndarray] = {}
    for item, prefix in (("model", ""), ("encoder", "encoder/"), ("method", "")):
        if item not in meta["digests"]:
            continue
        digests = meta["digests"][item]
        expected = _nested(digests)
        found = training.checkpoints.read_item(step_directory, item, expected, meta)
        for path in digests:
            value = found
            for name in path.split("/"):
                value = value[name]
            arrays[prefix + path] = value
    return arrays


def _nested(digests: dict[str, Any]) -> dict[str, Any]:
    """Returns empty arrays with the shapes in a table of digests, in nested dicts."""
    tree: dict[str, Any] = {}
    for path, digest in digests.items():
        *parents, last = path.split("/")
        inner = tree
        for name in parents:
            inner = inner.setdefault(name, {})
        inner[last] = np.empty(digest["shape"], np.dtype(digest["dtype"]))
    return tree
