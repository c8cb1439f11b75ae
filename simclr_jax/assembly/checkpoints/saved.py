"""Saving the state of a custom training loop, for ``load`` and ``simclr probe``."""

import os
from collections.abc import Mapping
from typing import Any

import ml_collections

from simclr_jax import data, training
from simclr_jax.assembly.checkpoints import encoder_metadata
from simclr_jax.core import paths
from simclr_jax.training import session


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
    """Saves the state of a training loop as the only checkpoint of a directory.

    Checkpoints of an earlier run in the directory are renamed, not deleted.

    Args:
      workdir: the working directory; created if missing.
      state: the method and the optimizer.
      step: number of updates made.
      images: the images that the method was trained on.
      source: name of these images for ``data.open_source``.
      data_dir: folder of the TFDS data sets.
      evaluation: options of ``augment.evaluation``, the preprocessing of images to
        embed.

    Raises:
      CheckpointError: if the checkpoint cannot be written.

    Example:
      >>> import pathlib, tempfile
      >>> import jax, optax
      >>> from flax import nnx
      >>> from simclr_jax import assembly, data, methods, training
      >>> rngs = nnx.Rngs(0)
      >>> flatten = lambda images: images.reshape(len(images), -1)
      >>> encoder = nnx.Sequential(flatten, nnx.Linear(784, 8, rngs=rngs))
      >>> noise = lambda key, image: image + jax.random.normal(key, image.shape)
      >>> head = nnx.Linear(8, 4, rngs=rngs)
      >>> method = methods.SimCLR(encoder, head=head, augmentation=noise)
      >>> optimizer = nnx.Optimizer(method, optax.sgd(0.1), wrt=method.trainable)
      >>> with tempfile.TemporaryDirectory() as workdir:
      ...     assembly.save_checkpoint(
      ...         workdir,
      ...         training.create(method, optimizer),
      ...         step=100,
      ...         images=data.open_images(data.open_source("mnist_sample")),
      ...         source="mnist_sample",
      ...         evaluation={"size": 28},
      ...     )
      ...     [path.name for path in pathlib.Path(workdir, "checkpoints").iterdir()]
      ['100']
    """
    workdir = training.prepare_workdir(paths.local_path(workdir, what="workdir"))
    folder = workdir / session.CHECKPOINTS
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
        "versions": session.versions(),
    }
    checkpoints.save(step, state.items(), metadata)
    checkpoints.close()
