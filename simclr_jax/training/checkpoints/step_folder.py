"""The folder of one checkpoint: reading, finding and renaming.

In format 1, the items ``encoder`` and ``method`` were a single item ``model``. An
encoder of format 1 can be read, but its run cannot be continued.
"""

import pathlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from simclr_jax.core import errors, paths
from simclr_jax.training.checkpoints import digest

FORMAT = 2
"""Format that this version writes."""

READABLE_FORMATS = (1, 2)


def read_meta(step_directory: pathlib.Path) -> dict[str, Any]:
    """Reads and verifies the metadata of a checkpoint.

    Args:
      step_directory: the folder of one step.

    Returns:
      ``format``, ``step``, ``digests``, and the metadata given to ``Checkpoints.save``.

    Raises:
      CheckpointError: if the metadata is corrupt, or of an unknown format.

    Example:
      >>> import pathlib, tempfile
      >>> import numpy as np
      >>> from simclr_jax.training import checkpoints
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     writer = checkpoints.Checkpoints(pathlib.Path(folder))
      ...     writer.save(10, {"encoder": {"bias": np.zeros(3)}}, {"note": "first"})
      ...     writer.close()
      ...     checkpoints.read_meta(pathlib.Path(folder, "10"))["note"]
      'first'
    """
    reader = ocp.Checkpointer(
        ocp.JsonCheckpointHandler(), multiprocessing_options=single_process()
    )
    meta = digest.unseal(reader.restore(_absolute(step_directory) / "meta"))
    if meta["format"] not in READABLE_FORMATS:
        raise errors.CheckpointError(
            f"The checkpoint has format {meta['format']}; this version reads "
            f"{' and '.join(map(str, READABLE_FORMATS))}."
        )
    return meta


def read_item(
    step_directory: pathlib.Path, name: str, expected: Any, meta: dict[str, Any]
) -> Any:
    """Reads and verifies the arrays of an item of a checkpoint, or some of them.

    Args:
      step_directory: the folder of one step.
      name: the item, e.g. ``"encoder"``.
      expected: the arrays to read: arrays (or their shapes) in nested dicts.
      meta: the metadata of the checkpoint.

    Returns:
      NumPy arrays in the structure of ``expected``.

    Raises:
      CheckpointError: if an array differs from what was saved.

    Example:
      >>> import pathlib, tempfile
      >>> import numpy as np
      >>> from simclr_jax.training import checkpoints
      >>> arrays = {"bias": np.zeros(3, np.float32)}
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     writer = checkpoints.Checkpoints(pathlib.Path(folder))
      ...     writer.save(10, {"encoder": arrays}, {})
      ...     writer.close()
      ...     step = pathlib.Path(folder, "10")
      ...     meta = checkpoints.read_meta(step)
      ...     found = checkpoints.read_item(step, "encoder", arrays, meta)
      >>> found["bias"]
      array([0., 0., 0.], dtype=float32)
    """
    blank = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), expected)
    as_numpy = ocp.RestoreArgs(restore_type=np.ndarray)
    arguments = ocp.args.PyTreeRestore(
        item=blank,
        restore_args=jax.tree.map(lambda _: as_numpy, blank),
        partial_restore=True,
    )
    reader = ocp.Checkpointer(
        ocp.PyTreeCheckpointHandler(multiprocessing_options=single_process()),
        multiprocessing_options=single_process(),
    )
    item = reader.restore(_absolute(step_directory) / name, args=arguments)
    digest.verify_leaves(item, meta["digests"][name])
    return item


def check_can_continue(meta: dict[str, Any]) -> None:
    """Raises if a checkpoint has an older format, which can only be evaluated.

    Args:
      meta: the metadata of the checkpoint.

    Raises:
      ConfigMismatchError: with both formats.
    """
    if meta["format"] != FORMAT:
        raise errors.ConfigMismatchError(
            f"The workdir contains a run in checkpoint format {meta['format']}, which "
            f"can be evaluated but not continued; this version writes {FORMAT}. Use "
            "another workdir; --config.init_from.checkpoint=DIR starts from its "
            "arrays."
        )


def _absolute(step_directory: pathlib.Path) -> pathlib.Path:
    """Returns the absolute path of a step, which Orbax requires."""
    return paths.local_path(step_directory, what="checkpoint")


def single_process() -> Any:
    """Returns Orbax options with which this process does not wait for any other one."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    index = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=index,
        active_processes={index},
        barrier_sync_key_prefix=f"process_{index}",
    )


def set_aside(path: pathlib.Path, *, suffix: str) -> pathlib.Path | None:
    """Renames a file or folder that is in the way, instead of deleting it.

    Args:
      path: a file or folder; may be missing.
      suffix: the new name is ``NAME.SUFFIX``, with a number appended if that exists.

    Returns:
      The new path, or None if there was nothing to rename.

    Example:
      >>> import pathlib, tempfile
      >>> from simclr_jax.training import checkpoints
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder, "run")
      ...     path.mkdir()
      ...     checkpoints.set_aside(path, suffix="old").name
      'run.old'
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
    """Lists the steps in a folder of checkpoints, newest first, without reading them.

    Args:
      directory: the folder.

    Returns:
      Step numbers.

    Example:
      >>> import pathlib, tempfile
      >>> from simclr_jax.training import checkpoints
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     pathlib.Path(folder, "10").mkdir()
      ...     pathlib.Path(folder, "20").mkdir()
      ...     checkpoints.find_steps(pathlib.Path(folder))
      [20, 10]
    """
    names = [path.name for path in pathlib.Path(directory).iterdir() if path.is_dir()]
    return sorted((int(name) for name in names if name.isdigit()), reverse=True)
