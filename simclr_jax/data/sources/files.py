"""Files of a source: expansion of patterns, and digests.

Does not import JAX.
"""

import glob
import hashlib
import os
import re
from collections.abc import Iterable

from simclr_jax.core import errors
from simclr_jax.core import paths as core_paths

IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif")
"""Lower-case extensions of the supported image files."""

_BRACES = re.compile(
    r"\{(?P<range>(?P<low>\d+)\.\.(?P<high>\d+))\}|\{(?P<list>[^{}]*,[^{}]*)\}"
)
_WILDCARD = re.compile(r"[*?\[]")


def find_files(pattern: str, *, split: str, kind: str) -> list[str]:
    """Finds the files that match a pattern.

    Args:
      pattern: a path with the shell wildcards ``*``, ``?`` and ``[...]``, ``**`` for
        folders of any depth, ``{000..009}`` or ``{a,b}`` for several names, and
        ``{split}`` for the name of the split.
      split: replaces ``{split}``. A pattern without ``{split}`` has only the split
        ``"train"``.
      kind: kind of source for messages, e.g. ``"webdataset"``.

    Returns:
      The sorted paths.

    Raises:
      DataError: if nothing matches, a path without wildcards is missing, or a split
        other than ``"train"`` is requested from a pattern without ``{split}``.
    """
    where = f"{kind}:{pattern}"
    pattern = os.path.expanduser(put_split(pattern, split=split, kind=kind))
    paths = set()
    for plain in _expand_braces(pattern):
        if os.path.isfile(plain):
            paths.add(plain)
        elif os.path.isdir(plain):
            raise errors.DataError(
                f"{where} names a folder; expected files. Give a pattern, such as "
                f"{kind}:{os.path.join(pattern, '*')}."
            )
        elif not _WILDCARD.search(plain):
            raise errors.DataError(f"{where}: there is no file {plain!r}.")
        else:
            found = glob.glob(plain, recursive=True)
            paths.update(path for path in found if os.path.isfile(path))
    if not paths:
        raise errors.DataError(
            f"{where}: no file matches {pattern!r}. Expected a pattern such as "
            f"{kind}:/data/train-*, or /data/{{split}}-* for several splits."
        )
    here = os.getcwd()
    return sorted(
        str(core_paths.local_path(os.path.join(here, path), what=kind))
        for path in paths
    )


def put_split(pattern: str, *, split: str, kind: str) -> str:
    """Replaces ``{split}`` in a path by the name of the split.

    Args:
      pattern: the path.
      split: the name of the split.
      kind: kind of source for messages.

    Returns:
      The path of the split.

    Raises:
      DataError: if the path has no ``{split}`` and the split is not ``"train"``.
    """
    if "{split}" in pattern:
        return pattern.replace("{split}", split)
    if split != "train":
        raise errors.DataError(
            f"Unknown split {split!r} of {kind}:{pattern}. Choices: train. To have "
            "several splits, write {split} where the names of their files differ, e.g. "
            f"{kind}:/data/{{split}}-part."
        )
    return pattern


def digest_of(names_and_sizes: Iterable[tuple[str, int]], *, num_records: int) -> str:
    """Returns a digest of file names, sizes and the number of records.

    Args:
      names_and_sizes: for every file a name that is independent of its location, and
        its size in bytes.
      num_records: total number of records.

    Returns:
      The first 12 hexadecimal digits of a SHA-256 hash.
    """
    digest = hashlib.sha256(str(num_records).encode())
    for name, size in names_and_sizes:
        # Names contain no zero byte, so different lists give different bytes.
        digest.update(b"\n%s\0%d" % (os.fsencode(name), size))
    return digest.hexdigest()[:12]


def _expand_braces(pattern: str) -> list[str]:
    """Expands ``{0..9}`` and ``{a,b}`` in a pattern."""
    match = _BRACES.search(pattern)
    if match is None:
        return [pattern]
    if match["list"] is not None:
        choices = match["list"].split(",")
    else:
        low, high = match["low"], match["high"]
        is_padded = low.startswith("0") or high.startswith("0")
        width = max(len(low), len(high)) if is_padded else 0
        choices = [f"{i:0{width}d}" for i in range(int(low), int(high) + 1)]
    before, after = pattern[: match.start()], pattern[match.end() :]
    return [
        expanded
        for choice in choices
        for expanded in _expand_braces(f"{before}{choice}{after}")
    ]
