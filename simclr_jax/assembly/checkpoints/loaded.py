"""Loading a trained encoder from a checkpoint: ``load`` and ``LoadedEncoder``."""

import dataclasses
import functools
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from simclr_jax import augment, data, evaluation, training
from simclr_jax.assembly.checkpoints import checkpoint_files, encoder_metadata, pictures
from simclr_jax.core import checks, errors, paths, registry, types

PARTS = {"encoder": "encoder", "target": "target/encoder"}
"""Choices of ``load(which=...)``: the encoder, or that of a target network."""


@final
@dataclasses.dataclass(frozen=True, eq=False)
class LoadedEncoder:
    """A trained, frozen encoder with its preprocessing.

    Attributes:
      module: the encoder: images [b h w c] in [0, 1] to features h [b d].
      preprocess: the preprocessing, ``(key, image) -> image``.
      metadata: metadata of the checkpoint; ``encoder`` describes the encoder, ``data``
        the images it was trained on.
      step: number of updates made when it was saved.
    """

    module: nnx.Module
    preprocess: augment.Augmentation
    metadata: Mapping[str, Any]
    step: int

    @property
    def num_channels(self) -> int:
        """Number of channels of the images, 3 or 1."""
        return self.metadata["encoder"]["stored_shape"][-1]

    @functools.cached_property
    def embed_batch(self) -> evaluation.Embed:
        """Compiled function from a batch of images to features on the device.

        It takes uint8 or float images [b h w c] or ``types.PaddedImages``, and returns
        float32 [b d]. BatchNorm uses its running statistics.
        """
        return evaluation.freeze(self.module, self.preprocess)

    def open_images(
        self,
        spec: str | None = None,
        *,
        split: str = "train",
        data_dir: str | None = None,
        label: str | None = None,
    ) -> data.Dataset:
        """Opens images and decodes them like the images of the training run.

        Args:
          spec: name of the images, e.g. ``"tfds:mnist"``, see ``data.open_source``;
            None: those of the training run.
          split: part of the data.
          data_dir: folder of the TFDS data sets; None: as in the training run.
          label: column of the labels; None: as in the training run, or the usual names.

        Returns:
          The images.

        Raises:
          DataError: if the images are missing, or have another number of channels.
        """
        source = self.metadata["source"]
        if spec is None and source["spec"] is None:
            raise errors.DataError(
                f"The encoder was trained on {self.metadata['data']['name']}, images "
                "that were given as arrays. Give the name of the data to open."
            )
        if spec is None:
            spec, label = (
                data.split_spec(source["spec"])[0],
                label or source.get("label"),
            )
        opened = data.open_source(
            spec,
            split=split,
            data_dir=data_dir or source["data_dir"],
            label=label,
            value_range=source.get("range", "full"),
        )
        height, width, channels = self.metadata["encoder"]["stored_shape"]
        images = data.open_images(
            opened,
            canvas=max(height, width),
            num_channels=channels,
            value_range=source.get("range", "full"),
            page=source.get("page"),
            channels=source.get("channels"),
        )
        if images.image_shape[-1] != channels:
            raise errors.DataError(
                f"{images.name} has images of {images.image_shape[-1]} channels; the "
                f"encoder was trained on {self.metadata['data']['name']}, with "
                f"{channels}. Choose images of {channels} channels."
            )
        return images

    def embed(
        self,
        images: np.ndarray | Sequence[Any],
        *,
        batch_size: int = 256,
        progress: bool | None = None,
    ) -> Float[np.ndarray, "n d"]:
        """Computes the features h of images.

        Args:
          images: an array [n h w c] (or [n h w] for one channel) of uint8 in [0, 255]
            or float in [0, 1]; or a list of PIL images or arrays of any sizes.
          batch_size: number of images in a batch.
          progress: whether to show a progress bar; None: only on a terminal, and if
            there are several batches.

        Returns:
          Float32 features, shape [n d].

        Raises:
          UserError: if the images have another number of channels, another dtype, or
            values out of range.
        """
        checks.check_positive_int("batch_size", batch_size)
        if not hasattr(images, "__len__"):
            raise errors.UserError(
                "embed takes an array [n h w c] or a list of images; got "
                f"{type(images).__name__}. Put a single image into a list."
            )
        batches = pictures.batches(
            images,
            batch_size=batch_size,
            stored_shape=tuple(self.metadata["encoder"]["stored_shape"]),
        )
        count = len(images)
        if count == 0:
            return np.zeros((0, self._feature_dim()), np.float32)
        features = [
            np.asarray(self.embed_batch(batch))
            for batch in _shown(batches, -(-count // batch_size), progress)
        ]
        return np.concatenate(features)[:count]

    def _feature_dim(self) -> int:
        """Returns the width of the features; traces the encoder if it is unknown."""
        width = self.metadata["encoder"].get("feature_dim")
        if width is None:
            shape = (1, *self.metadata["encoder"]["stored_shape"])
            stored = jax.ShapeDtypeStruct(shape, jnp.uint8)
            width = jax.eval_shape(self.embed_batch, stored).shape[-1]
        return width


def load(
    path: str | os.PathLike[str],
    *,
    step: int | None = None,
    which: str = "encoder",
    encoder: nnx.Module | None = None,
) -> LoadedEncoder:
    """Loads the trained encoder of a run from a checkpoint.

    Only the arrays of the encoder are read.

    Args:
      path: the workdir of a run, or its folder of checkpoints.
      step: the step to read; None: the newest readable one.
      which: ``"encoder"``, or ``"target"`` for its moving average, if the method keeps
        one (BYOL, MoCo).
      encoder: a module of the trained class that receives the arrays; required only
        for an encoder that was not built by name.

    Returns:
      The frozen encoder with its preprocessing.

    Raises:
      CheckpointError: if there is no such checkpoint, or none is readable.
      UserError: if ``which`` is unknown.

    Example:
      >>> import simclr_jax
      >>> encoder = simclr_jax.load("runs/mnist")  # doctest: +SKIP
      >>> features = encoder.embed(images)  # doctest: +SKIP
    """
    part = registry.lookup("part of a checkpoint", which, PARTS)
    folder = paths.local_path(path, what="checkpoint")

    def read(step_directory: pathlib.Path) -> LoadedEncoder:
        return _read(step_directory, part, encoder)

    return checkpoint_files.read_newest(folder, read, step=step)


def from_method(method: Any, metadata: Mapping[str, Any], step: int) -> LoadedEncoder:
    """Returns the encoder of a trained method, equal to saving it and calling ``load``.

    Args:
      method: the trained method.
      metadata: metadata of the run.
      step: number of updates made.
    """
    preprocess = augment.evaluation(**metadata["encoder"]["preprocessing"])
    return LoadedEncoder(method.encoder, preprocess, metadata, step)


def _read(
    step_directory: pathlib.Path, part: str, encoder: nnx.Module | None
) -> LoadedEncoder:
    meta = training.checkpoints.read_meta(step_directory)
    if meta["format"] == 1:
        meta |= encoder_metadata.of_format_1(meta)
    described = meta["encoder"]
    try:
        module = encoder or encoder_metadata.build(described)
    except errors.CheckpointError as error:
        raise checkpoint_files.give_up(error) from error
    item = part.split("/")[0]
    if part != "encoder" and not _holds(meta, item):
        raise checkpoint_files.give_up(
            errors.CheckpointError(
                f"This checkpoint has no {item!r}, because its method keeps none; "
                'load it with which="encoder".'
            )
        )
    state = nnx.state(module)
    found = checkpoint_files.read_part(
        step_directory, meta, part, nnx.to_pure_dict(state)
    )
    nnx.replace_by_pure_dict(state, jax.tree.map(jnp.asarray, found))
    nnx.update(module, state)
    preprocess = augment.evaluation(**described["preprocessing"])
    return LoadedEncoder(module, preprocess, meta, meta["step"])


def _holds(meta: Mapping[str, Any], name: str) -> bool:
    """Returns whether the method of a checkpoint has an attribute of a given name."""
    digests = meta["digests"]
    arrays = digests.get("model" if meta["format"] == 1 else "method", {})
    return any(path.split("/")[0] == name for path in arrays)


def _shown(
    batches: Iterator[Any], count: int, progress: bool | None
) -> Iterator[jax.Array | types.PaddedImages]:
    """Yields batches, with a progress bar if requested."""
    if progress is None:
        progress = count > 1 and sys.stderr.isatty()
    if not progress:
        yield from batches
        return
    import tqdm

    yield from tqdm.tqdm(batches, total=count, unit="batch", desc="embed")
