"""Saving what a training loop of one's own has trained, for ``load`` and ``probe``."""

import os
from collections.abc import Mapping
from typing import Any

import ml_collections

from simclr_jax import data, training
from simclr_jax.assembly.checkpoints import encoder_metadata
from simclr_jax.core import paths


def save_checkpoint(
    workdir: str | os.PathLike[str],
    state: training.TrainState,
    *,
    step: int,
    images: data.Dataset,
    source: str,
    data_dir: str | None = None,
    evaluation: Mapping[str, Any],
) -> None:
    """Saves the state of a training loop as the newest checkpoint of a workdir.

    Checkpoints of an earlier run there are renamed, not deleted.

    Args:
      workdir: the working directory; made if missing.
      state: the method and the optimizer.
      step: updates made.
      images: what the method was trained on.
      source: where the images come from, as ``data.open_source`` takes it.
      data_dir: where TFDS sets lie.
      evaluation: options of ``augment.evaluation``, what is done to an image first.

    Raises:
      CheckpointError: if it cannot be written.
    """
    workdir = training.prepare_workdir(paths.local_path(workdir, what="workdir"))
    folder = workdir / training.CHECKPOINTS
    training.checkpoints.set_aside(folder, suffix="old")
    method: Any = state.method()
    checkpoints = training.checkpoints.Checkpoints(folder)
    metadata = {
        "config": {},
        "data": {
            "name": images.name,
            "num_images": len(images),
            "image_shape": list(images.image_shape),
        },
        "source": {"spec": source, "data_dir": data_dir},
        "encoder": encoder_metadata.describe(
            method.encoder,
            evaluation=ml_collections.ConfigDict(dict(evaluation)),
            images=images,
        ),
        "versions": training.versions(),
    }
    checkpoints.save(step, state.items(), metadata)
    checkpoints.close()
