"""TensorFlow-Datasets sets that are prepared on disk, read without TensorFlow.

The set must be in array_record form (``prepare_hint`` says how). Its folder is opened
directly, so that no data set script runs and nothing is ever downloaded.
"""

import dataclasses
import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from simclr_jax.core import errors, registry
from simclr_jax.data import sources

_PILLOW_MODES = {1: "L", 3: "RGB"}


@dataclasses.dataclass(frozen=True, eq=False)
class TfdsSource:
    """One split of a prepared set; images are decoded when they are read.

    Attributes:
      name: ``tfds:NAME/VERSION:SPLIT``.
      records: the encoded records, random access.
      image_shape: (h, w, c), or None where the images differ in size.
      num_channels: 1 or 3.
      num_classes: number of classes, or None without labels.
      square_side: where set, images are scaled to this short side in pixels and their
        central square is taken.
    """

    name: str
    records: Any
    image_shape: tuple[int, int, int] | None
    num_channels: int
    num_classes: int | None
    square_side: int | None = None

    def __len__(self) -> int:
        return len(self.records)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> list[sources.Record]:
        """Reads and decodes the records at ``indices``."""
        return [
            sources.Record(
                image=self._decode(record["image"]), label=int(record.get("label", -1))
            )
            for record in self.records.__getitems__([int(index) for index in indices])
        ]

    def _decode(self, encoded: bytes) -> np.ndarray:
        from PIL import Image

        image = Image.open(io.BytesIO(encoded))
        if self.square_side is not None:
            image.draft(None, (self.square_side, self.square_side))
        image = image.convert(_PILLOW_MODES[self.num_channels])
        if self.square_side is not None:
            image = _central_square(image, self.square_side)
        pixels = np.asarray(image, np.uint8)
        return pixels.reshape(*pixels.shape[:2], self.num_channels)


def open_tfds(
    name: str, *, split: str, data_dir: str | None, square_side: int | None = None
) -> TfdsSource:
    """Opens a prepared set.

    Args:
      name: ``NAME``, ``NAME:VERSION`` or ``NAME/CONFIG`` as TFDS writes them.
      split: e.g. ``"train"``.
      data_dir: the folder that holds the set's folder; None: TFDS's own, which is
        ``$TFDS_DATA_DIR`` or ``~/tensorflow_datasets``.
      square_side: see ``TfdsSource``; needed for images of many sizes.

    Returns:
      The source.

    Raises:
      DataError: if the folder, the set or the split is not there, or if it has no
        images; says how to prepare it.
    """
    import tensorflow_datasets as tfds

    builder: Any = tfds.builder_from_directory(_find_builder_dir(name, data_dir))
    splits = list(builder.info.splits)
    if split.split("[")[0] not in splits:
        message = registry.unknown_name(f"split of {name!r}:", split, splits)
        raise errors.DataError(message)
    features = builder.info.features
    if not features or "image" not in features:
        raise errors.DataError(f"tfds:{name} has no feature 'image': {features}.")
    records = builder.as_data_source(
        split, decoders={"image": tfds.decode.SkipDecoding()}
    )
    shape, num_channels = _image_shape(name, features["image"].shape, square_side)
    has_label = "label" in features and hasattr(features["label"], "num_classes")
    return TfdsSource(
        name=f"tfds:{builder.info.full_name}:{split}",
        records=records,
        image_shape=shape,
        num_channels=num_channels,
        num_classes=features["label"].num_classes if has_label else None,
        square_side=square_side,
    )


def default_data_dir() -> str:
    """Returns the folder where TFDS itself keeps its sets."""
    return os.path.expanduser(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets"))


def prepare_hint(name: str, data_dir: str | None) -> str:
    """Returns the commands that download and prepare a set for this library."""
    option = f", data_dir={data_dir!r}" if data_dir else ""
    return (
        "To prepare it once (this downloads):\n"
        '  pip install "simclr_jax[prepare]"\n'
        f"  python -c \"import tensorflow_datasets as tfds; tfds.builder('{name}'"
        f"{option}, file_format='array_record').download_and_prepare()\""
    )


def _find_builder_dir(name: str, data_dir: str | None) -> str:
    """Returns the folder of the newest prepared version of a set."""
    from etils import epath

    base, _, version = name.partition(":")
    root = epath.Path(data_dir or default_data_dir())
    if data_dir and not root.is_dir():
        raise errors.DataError(
            f"data_dir {data_dir!r} is not a folder. Expected the folder that holds "
            f"{base}/VERSION/dataset_info.json. {prepare_hint(name, data_dir)}"
        )
    folder = root / base
    versions = [path.parent for path in folder.glob("*/dataset_info.json")]
    if version:
        versions = [path for path in versions if path.name == version]
    if not versions:
        found = sorted({p.parents[1].name for p in root.glob("*/*/dataset_info.json")})
        near = registry.unknown_name("data set", base, found or ["none"])
        raise errors.DataError(
            f"tfds:{name} is not prepared in {str(root)!r}. {near} (Those are the sets "
            f"prepared there.) {prepare_hint(name, data_dir)}"
        )
    return str(max(versions, key=lambda path: _version_key(path.name)))


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else -1 for part in version.split("."))


def _image_shape(
    name: str, shape: tuple, square_side: int | None
) -> tuple[tuple[int, int, int] | None, int]:
    """Returns the shape of the decoded images, None where it varies, and channels."""
    num_channels = shape[-1]
    if num_channels not in _PILLOW_MODES:
        raise errors.DataError(
            f"tfds:{name} has images of {num_channels} channels; expected 1 or 3."
        )
    if square_side is not None:
        return (square_side, square_side, num_channels), num_channels
    if None in shape:
        raise errors.DataError(
            f"tfds:{name} has images of many sizes {shape}. Set data.square_side, e.g. "
            "256: each image is scaled to that short side and its central square taken."
        )
    return tuple(shape), num_channels


def _central_square(image: Any, side: int) -> Any:
    """Scales a Pillow image to a short side and takes the central square."""
    from PIL import Image, ImageOps

    return ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)
