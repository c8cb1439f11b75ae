"""From a checkpoint to its encoder."""

import dataclasses
import logging
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from flax import nnx

from simclr_jax import augment, training
from simclr_jax.assembly import parts
from simclr_jax.core import errors, paths

_log = logging.getLogger("simclr_jax")


@dataclasses.dataclass(frozen=True, eq=False)
class RestoredEncoder:
    """An encoder read from a checkpoint.

    Attributes:
      module: the encoder, images [b h w c] in [0, 1] to h [b d].
      preprocess: the evaluation recipe, ``(key, image) -> image``.
      config: the config of the run, as the checkpoint carries it.
      meta: the page of the checkpoint.
      step: updates made when it was saved.
    """

    module: nnx.Module
    preprocess: augment.Augmentation
    config: parts.Config
    meta: Mapping[str, Any]
    step: int


def restore_encoder(
    workdir: str | os.PathLike[str], *, step: int | None = None
) -> RestoredEncoder:
    """Reads the encoder of a run, and nothing else, from its newest checkpoint.

    A checkpoint that cannot be read is passed over, with a warning, for an older one;
    the directory is not changed.

    Args:
      workdir: the workdir of the run, or its folder of checkpoints.
      step: a certain step; None: the newest that is readable.

    Returns:
      The encoder and what it needs.

    Raises:
      CheckpointError: if there is no such checkpoint or none is readable.
    """
    folder = paths.local_path(workdir, what="checkpoint")
    if not os.path.isdir(folder):
        raise errors.CheckpointError(
            f"{str(folder)!r} is not a folder. Expected the workdir of a run."
        )
    if (folder / training.CHECKPOINTS).is_dir():
        folder = folder / training.CHECKPOINTS
    found = training.find_steps(folder)
    if not found or (step is not None and step not in found):
        raise errors.CheckpointError(
            f"No checkpoint{'' if step is None else f' of step {step}'} in "
            f"{str(folder)!r}; steps there: {found or 'none'}. Expected the workdir of "
            "a pretraining run."
        )
    reasons = []
    for candidate in found if step is None else [step]:
        try:
            return _read_encoder(folder / str(candidate))
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            reasons.append(f"Checkpoint {candidate} is unreadable ({text}).")
            _log.warning("%s", reasons[-1])
    raise errors.CheckpointError(
        f"No checkpoint in {str(folder)!r} is readable.\n" + "\n".join(reasons)
    )


def _read_encoder(step_directory: pathlib.Path) -> RestoredEncoder:
    meta = training.read_meta(step_directory)
    config = ml_collections.ConfigDict(meta["config"])
    height, width, channels = meta["data"]["image_shape"]
    shape = parts.view_shape(parts.build_evaluation(config), (height, width, channels))
    build = lambda: parts.build_encoder(config, image_shape=shape, rngs=nnx.Rngs(0))
    module = nnx.eval_shape(build)
    abstract = nnx.to_pure_dict(nnx.state(module))
    item = training.read_item(
        step_directory, "model", {"encoder": abstract}, dict(meta)
    )
    state = nnx.state(module)
    nnx.replace_by_pure_dict(state, jax.tree.map(jnp.asarray, item["encoder"]))
    nnx.update(module, state)
    preprocess = parts.build_evaluation(config)
    return RestoredEncoder(module, preprocess, config, meta, meta["step"])
