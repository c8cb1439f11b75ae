"""Source ``tfds:NAME``: prepared TensorFlow Datasets, read without TensorFlow.

The data set must be prepared in array_record format (see ``prepare_hint``). Its folder
is opened directly: no data set script runs and nothing is downloaded. Does not import
JAX.
"""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, final

import numpy as np

from simclr_jax.core import errors, registry
from simclr_jax.data.sources import array_record, splits
from simclr_jax.data.sources import base as sources


@final
@dataclasses.dataclass(frozen=True, eq=False)
class TfdsSource:
    """One split of a prepared data set.

    Attributes:
      name: ``tfds:NAME/VERSION:SPLIT``.
      records: random access to the encoded records.
      image_shape: (h, w, c), or None if image sizes differ.
      num_classes: number of classes, or None without labels.
      label_column: name of the label feature.
      class_names: names of the classes by number; None without labels.
    """

    name: str
    records: Any
    image_shape: tuple[int, int, int] | None
    num_classes: int | None
    label_column: str = "label"
    class_names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.records)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> list[sources.Record]:
        """Reads the records at ``indices`` without decoding the images.

        Raises:
          DataError: if a record is damaged.
        """
        numbers = [int(index) for index in indices]
        try:
            read = self.records.__getitems__(numbers)
        except RuntimeError as error:
            raise errors.DataError(self._damaged(numbers, str(error))) from error
        # A file truncated at certain positions yields records without contents.
        if any(record["image"] is None for record in read):
            raise errors.DataError(self._damaged(numbers, "empty records."))
        has_label = self.num_classes is not None
        return [
            sources.Record(
                image=record["image"],
                label=int(record[self.label_column]) if has_label else -1,
            )
            for record in read
        ]

    def title_of(self, index: int) -> str:
        """Returns the name of record ``index`` for messages, e.g. ``record 3``."""
        return f"record {index}"

    def _damaged(self, numbers: list[int], reason: str) -> str:
        return (
            f"{self.name}: some of the records {str(numbers[:5])[1:-1]}, ... cannot be "
            f"read: {reason} The files are damaged: copy or prepare the set again."
        )


def open_tfds(
    name: str, *, split: str, data_dir: str | None, label: str | None = None
) -> TfdsSource:
    """Opens a prepared data set.

    Args:
      name: ``NAME``, ``NAME:VERSION``, ``NAME/CONFIG`` or ``NAME/CONFIG:VERSION``, as
        in TFDS.
      split: e.g. ``"train"`` or ``"train[:90%]"``.
      data_dir: folder of the TFDS data sets, local or ``gs://``; None: the default of
        TFDS, ``$TFDS_DATA_DIR`` or ``~/tensorflow_datasets``.
      label: name of the label feature, of type ClassLabel; None: ``label``, if it has
        that type.

    Returns:
      The source, whose records hold the bytes of image files.

    Raises:
      DataError: if the folder, the data set or the split is missing (the message says
        how to prepare it), if it has no images, or if the package array_record is
        missing.
    """
    import tensorflow_datasets as tfds

    array_record.reader()  # raises a readable error if the package is missing

    folder = _find_builder_dir(name, data_dir)
    try:
        builder: Any = tfds.builder_from_directory(folder)
    except Exception as error:  # JSON and protobuf packages raise many types
        raise errors.DataError(
            f"tfds:{name}: what describes the set in {folder!r} cannot be read: "
            f"{error} {prepare_hint(name, data_dir)}"
        ) from error
    features = dict((builder.info.features or {}).items())
    if not isinstance(features.get("image"), tfds.features.Image):
        raise errors.DataError(
            f"tfds:{name} has no feature 'image' of the type Image: {features}."
        )
    records = _open_split(builder, name, split=split, data_dir=data_dir)
    num_channels = features["image"].shape[-1]
    if num_channels not in (1, 3):
        raise errors.DataError(
            f"tfds:{name} has images of {num_channels} channels; expected 1 or 3. "
            "Save its images as an .npy file to read any number of channels."
        )
    shape = features["image"].shape
    classes = _class_label(name, features, label)
    return TfdsSource(
        name=f"tfds:{builder.info.full_name}:{split}",
        records=records,
        image_shape=None if None in shape else tuple(shape),
        num_classes=getattr(classes, "num_classes", None),
        label_column=label or "label",
        class_names=tuple(classes.names) if classes else None,
    )


def _class_label(name: str, features: dict[str, Any], label: str | None) -> Any:
    """Returns the label feature; None without labels."""
    import tensorflow_datasets as tfds

    kind = tfds.features.ClassLabel
    found = features.get(label or "label")
    if isinstance(found, kind):
        return found
    if label is not None:
        known = [key for key, value in features.items() if isinstance(value, kind)]
        raise errors.DataError(
            f"tfds:{name}: data.label={label!r} is none of its features of the type "
            f"ClassLabel: {', '.join(known) or 'none'}."
        )
    return None


def _open_split(builder: Any, name: str, *, split: str, data_dir: str | None) -> Any:
    """Returns the records of a split with encoded images."""
    import tensorflow_datasets as tfds

    choices = list(builder.info.splits)
    for base in splits.base_splits(split):
        if base not in (*choices, "all"):
            message = registry.unknown_name(f"split of {name!r}:", base, choices)
            raise errors.DataError(message)
    skip = {"image": tfds.decode.SkipDecoding()}
    folder = str(builder.data_dir)
    try:
        records = builder.as_data_source(split, decoders=skip)
    except NotImplementedError as error:
        raise errors.DataError(
            f"tfds:{name} is prepared in a form that cannot be read at random, "
            f"{builder.info.file_format}. Expected array_record. "
            f"{prepare_hint(name, data_dir)}"
        ) from error
    except (ValueError, AssertionError, OSError, RuntimeError) as error:
        raise errors.DataError(
            f"tfds:{name}: the split {split!r} cannot be opened: {error} Expected e.g. "
            f"train, train[:90%] or train+test, and whole files in {folder!r}."
        ) from error
    if not len(records):
        raise errors.DataError(f"tfds:{name} has no records in the split {split!r}.")
    return records


def default_data_dir() -> str:
    """Returns the default folder of TFDS data sets."""
    return os.path.expanduser(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets"))


def prepare_hint(name: str, data_dir: str | None) -> str:
    """Returns the commands that download and prepare ``name`` in ``data_dir``."""
    option = f", data_dir={data_dir!r}" if data_dir else ""
    return (
        "To prepare it once (this downloads):\n"
        '  pip install "simclr_jax[prepare]"\n'
        f"  python -c \"import tensorflow_datasets as tfds; tfds.builder('{name}'"
        f"{option}, file_format='array_record').download_and_prepare()\""
    )


def _find_builder_dir(name: str, data_dir: str | None) -> str:
    """Returns the folder of the newest prepared version of a data set."""
    from etils import epath

    base, _, version = name.partition(":")
    root = epath.Path(data_dir or default_data_dir()).expanduser()
    if data_dir and not root.is_dir():
        raise errors.DataError(
            f"data_dir {data_dir!r} is not a folder. Expected the folder that holds "
            f"{base}/VERSION/dataset_info.json. {prepare_hint(name, data_dir)}"
        )
    versions = _prepared_below(root / base, "*")
    if version:
        versions = [path for path in versions if path.name == version]
    if versions:
        return str(max(versions, key=lambda path: _version_key(path.name)))
    plain = {path.parent.name for path in _prepared_below(root, "*/*")}
    with_config = {
        f"{path.parents[1].name}/{path.parent.name}"
        for path in _prepared_below(root, "*/*/*")
    }
    found = plain | with_config or {"none"}
    near = registry.unknown_name("data set", name, found)
    raise errors.DataError(
        f"tfds:{name} is not prepared in {str(root)!r}. {near} (These data sets are "
        f"prepared there.) {prepare_hint(name, data_dir)}"
    )


def _prepared_below(folder: Any, depth: str) -> list[Any]:
    """Returns the folders of prepared data sets that match a glob below a folder."""
    return [path.parent for path in folder.glob(f"{depth}/dataset_info.json")]


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else -1 for part in version.split("."))
