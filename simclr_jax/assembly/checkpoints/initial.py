"""Starting a run from the arrays of a checkpoint (``config.init_from``)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx

from simclr_jax import training
from simclr_jax.assembly.checkpoints import checkpoint_files
from simclr_jax.assembly.config import schema
from simclr_jax.core import errors, paths

_MAX_ROWS = 12


def begin(config: schema.Config, state: training.TrainState) -> training.TrainState:
    """Replaces arrays of the state at step 0 by those that ``config.init_from`` names.

    Prints which arrays were taken, ignored and missing. The state of the optimizer is
    not restored.

    Args:
      config: the config.
      state: the state at step 0.

    Returns:
      The new state; ``state`` itself if ``init_from`` has no checkpoint.

    Raises:
      CheckpointError: if the checkpoint cannot be read.
      UserError: if an array has another shape, or nothing fits.
    """
    options = config.init_from
    if not options.checkpoint:
        return state
    method, optimizer = state.modules()
    arrays = nnx.state(method)
    flat = {"/".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(arrays)}
    taken: dict[str, np.ndarray] = {}

    def read() -> list[str]:
        path = paths.local_path(options.checkpoint, what="config.init_from.checkpoint")
        found = checkpoint_files.read_arrays(path)
        found = rename(found, schema.options_of(options.rename, without=()))
        taken.update(choose(found, flat, only=tuple(options.only)))
        _report(options.checkpoint, taken=taken, found=found, wanted=flat)
        return sorted(taken)

    names = training.distributed.processes.run_on_first(read)
    values = {name: taken.get(name, flat[name].get_value()) for name in names}
    for name, value in training.distributed.processes.broadcast(values).items():
        old = flat[name].get_value()
        flat[name].set_value(jax.device_put(np.asarray(value, old.dtype), old.sharding))
    nnx.update(method, arrays)
    method.after_load(frozenset(names))
    return training.create(method, optimizer)


def rename(
    arrays: Mapping[str, np.ndarray], rules: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Renames the paths of arrays.

    Args:
      arrays: arrays by their path in the checkpoint.
      rules: regular expressions and their replacements (``re.sub``), applied in order.

    Returns:
      The arrays by their new paths.

    Raises:
      UserError: if two arrays get the same path.
    """
    renamed: dict[str, np.ndarray] = {}
    for path, value in arrays.items():
        new = path
        for pattern, replacement in rules.items():
            new = re.sub(pattern, replacement, new)
        if new in renamed:
            raise errors.UserError(
                f"init_from.rename gives two arrays the path {new!r}; one was {path!r}."
            )
        renamed[new] = value
    return renamed


def choose(
    found: Mapping[str, np.ndarray],
    wanted: Mapping[str, Any],
    *,
    only: Sequence[str],
) -> dict[str, np.ndarray]:
    """Selects the arrays of a checkpoint that the method has too.

    Args:
      found: arrays of the checkpoint, by path.
      wanted: arrays of the method, by path.
      only: regular expressions; a path is selected if one of them matches in it.

    Returns:
      The selected arrays of the checkpoint, by path.

    Raises:
      UserError: with a table, if an array has another shape; or if no path is selected.
    """
    taken = {
        path: value
        for path, value in found.items()
        if path in wanted and any(re.search(pattern, path) for pattern in only)
    }
    rows = [
        f"  {path}: {list(value.shape)} in the checkpoint, "
        f"{list(wanted[path].shape)} here"
        for path, value in taken.items()
        if tuple(value.shape) != tuple(wanted[path].shape)
    ]
    if rows:
        raise errors.UserError(
            "These arrays of init_from do not fit; leave them out with init_from.only, "
            "or choose the same options:\n" + "\n".join(rows[:_MAX_ROWS])
        )
    if not taken:
        raise errors.UserError(
            f"init_from takes no array: only={list(only)} matches none of the paths "
            "that the checkpoint and this method have in common. Paths of the "
            f"checkpoint are {', '.join(sorted(found)[:3])}, ...; paths here are "
            f"{', '.join(sorted(wanted)[:3])}, ..."
        )
    return taken


def _report(
    checkpoint: str,
    *,
    taken: Mapping[str, Any],
    found: Mapping[str, Any],
    wanted: Mapping[str, Any],
) -> None:
    """Prints the arrays taken, ignored and missing, in the layout of description.py."""
    ignored = sorted(found.keys() - taken.keys())
    missing = sorted(wanted.keys() - taken.keys())
    print(
        f"init_from {checkpoint}: {len(taken)} arrays taken\n"
        f"          ignored: {_summary(ignored)}\n"
        f"          missing, newly initialized: {_summary(missing)}",
        flush=True,
    )


def _summary(paths: Sequence[str]) -> str:
    """Summarizes paths by their first component, with the number of arrays of each."""
    if not paths:
        return "none"
    counts: dict[str, int] = {}
    for path in paths:
        part = path.split("/")[0]
        counts[part] = counts.get(part, 0) + 1
    return ", ".join(f"{part} ({count})" for part, count in counts.items())
