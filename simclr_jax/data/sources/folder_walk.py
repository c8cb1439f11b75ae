"""Finds the image files below a folder, following symbolic links.

Does not import JAX.
"""

import collections
import os
from typing import final

from simclr_jax.core import errors
from simclr_jax.data.sources import files

_NAMED = 5
"""Number of links listed in a message."""


@final
class Walk:
    """Collects the images below a folder, reading each folder once.

    Symbolic links to files and folders are followed, also out of the root. Links that
    are broken or lead to a folder above them are skipped and recorded.

    Attributes:
      root: the folder.
      images: path relative to the root and size in bytes of every image.
      other_extensions: number of other files by extension.
      broken_links: links with a missing target, relative to the root.
      circular_links: links to a folder above them, relative to the root.
    """

    def __init__(self, root: str):
        self.root = root
        self.images: list[tuple[str, int]] = []
        self.other_extensions: collections.Counter[str] = collections.Counter()
        self.broken_links: list[str] = []
        self.circular_links: list[str] = []

    def run(self) -> None:
        """Walks the folder and fills the attributes, in no particular order."""
        # Each folder with the identities of the folders above it.
        stack: list[tuple[str, tuple[tuple[int, int], ...]]] = []
        stack.append(("", (_identity(self.root),)))
        while stack:
            folder, above = stack.pop()
            for entry in entries_of(os.path.join(self.root, folder)):
                relative = f"{folder}{entry.name}"
                if _leads_nowhere(entry):
                    self.broken_links.append(relative)
                elif entry.is_dir():
                    identity = _identity(entry.path)
                    if identity in above:
                        self.circular_links.append(relative)
                    else:
                        stack.append((f"{relative}/", (*above, identity)))
                elif entry.is_file():
                    self._add(relative, entry)

    def left_out(self) -> str:
        """Returns the links that were skipped, and why; empty if there are none."""
        kinds = (
            ("broken", self.broken_links),
            ("circular: they lead to a folder above them", self.circular_links),
        )
        return "; ".join(
            f"{len(links)} symbolic links are {kind} ({_listed(links)})"
            for kind, links in kinds
            if links
        )

    def _add(self, relative: str, entry: os.DirEntry) -> None:
        if is_image(entry.name):
            self.images.append((relative, entry.stat().st_size))
        else:
            extension = os.path.splitext(entry.name)[1].lower()
            self.other_extensions[extension or "no extension"] += 1


def is_image(name: str) -> bool:
    """Returns whether the file ``name`` has the extension of an image."""
    extension = os.path.splitext(name)[1].lower().lstrip(".")
    return extension in files.IMAGE_EXTENSIONS


def entries_of(folder: str) -> list[os.DirEntry]:
    """Returns the entries of ``folder`` that are not hidden.

    Raises:
      DataError: if the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            # This also skips ._x, which macOS writes beside x.
            seen = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise errors.DataError(
            f"The folder {folder!r} cannot be read: {error.strerror}."
        ) from error
    return [entry for entry in seen if entry.name != "__MACOSX"]


def folders_in(folder: str) -> list[str]:
    """Returns the sorted names of the folders directly in ``folder``.

    Links to a folder above them are skipped.
    """
    own = os.path.realpath(folder)
    found = []
    for entry in entries_of(folder):
        if not _leads_nowhere(entry) and entry.is_dir():
            target = os.path.realpath(entry.path) if entry.is_symlink() else ""
            if not target or os.path.commonpath([own, target]) != target:
                found.append(entry.name)
    return sorted(found)


def has_images(folder: str) -> bool:
    """Returns whether ``folder`` directly contains an image."""
    return any(
        is_image(entry.name) and not _leads_nowhere(entry) and entry.is_file()
        for entry in entries_of(folder)
    )


def _leads_nowhere(entry: os.DirEntry) -> bool:
    """Returns whether an entry is a link with a missing target, or to itself."""
    return entry.is_symlink() and not os.path.exists(entry.path)


def _identity(path: str) -> tuple[int, int]:
    """Returns the identity of a folder, independent of the path used."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _listed(paths: list[str]) -> str:
    shown = [os.fsencode(path).decode("utf-8", "replace") for path in sorted(paths)]
    return ", ".join(shown[:_NAMED]) + (", ..." if len(shown) > _NAMED else "")
