"""A folder of image files, flat or one folder per class. No jax here."""

import collections
import dataclasses
import logging
import os
from collections.abc import Sequence

import numpy as np

from simclr_jax.core import errors
from simclr_jax.data import files, sources

_log = logging.getLogger("simclr_jax")

_HELD_OUT = ("test", "val", "valid", "validation")


@dataclasses.dataclass(frozen=True, eq=False)
class FolderSource:
    """Image files below a folder, in the order of their relative paths.

    Attributes:
      name: ``folder:SPLIT@DIGEST``, the digest over relative paths and sizes.
      root: the folder.
      paths: of every image, its path from the root, with ``/``.
      labels: int32 [n], -1 without classes.
      num_classes: number of classes, or None where there are none.
      image_shape: None: images may differ in size.
    """

    name: str
    root: str
    paths: tuple[str, ...]
    labels: np.ndarray
    num_classes: int | None
    image_shape: tuple[int, int, int] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> list[sources.Record]:
        """Reads the files at ``indices``; they are not decoded.

        Raises:
          DataError: if a file cannot be read.
        """
        return [
            sources.Record(image=self._read(index), label=int(self.labels[index]))
            for index in map(int, indices)
        ]

    def title_of(self, index: int) -> str:
        """Returns the path from the root."""
        return os.fsencode(self.paths[index]).decode("utf-8", "backslashreplace")

    def _read(self, index: int) -> bytes:
        path = os.path.join(self.root, self.paths[index])
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            raise errors.DataError(
                f"{path!r} was there when the folder was opened and cannot be read "
                f"now: {error.strerror}."
            ) from error


def open_folder(path: str, *, split: str) -> FolderSource:
    """Opens a folder of images.

    Where every image lies in a subfolder, the subfolders are the classes, numbered in
    the order of their names. Hidden files, and those that macOS adds to archives, are
    left out; a symbolic link is followed where it stays inside the folder.

    Args:
      path: the folder; ``~`` is the home folder.
      split: a subfolder of exactly this name is opened in place of ``path``; where
        there is none, ``"train"`` is ``path`` itself.

    Returns:
      The source. Its records hold the bytes of the files.

    Raises:
      DataError: if the folder or the split is not there or holds no image.
    """
    root = _root_of(os.path.abspath(os.path.expanduser(path)), split)
    walk = _Walk(root)
    walk.run()
    if not walk.images:
        raise errors.DataError(_no_images(root, walk))
    if walk.num_links_left_out:
        _log.warning(
            "folder %s: %d symbolic links are broken, lead out of the folder or in a "
            "circle; they were not followed.",
            root,
            walk.num_links_left_out,
        )
    images = sorted(walk.images)
    paths = tuple(name for name, _ in images)
    classes = _classes(root, split, paths)
    number_of = {name: number for number, name in enumerate(classes)}
    labels = [number_of.get(name.partition("/")[0], -1) for name in paths]
    return FolderSource(
        name=f"folder:{split}@{files.digest_of(images, num_records=len(images))}",
        root=root,
        paths=paths,
        labels=np.asarray(labels if classes else [-1] * len(paths), np.int32),
        num_classes=len(classes) or None,
    )


def _root_of(path: str, split: str) -> str:
    """Returns the folder of a split."""
    if not os.path.exists(path):
        raise errors.DataError(
            f"There is no folder {path!r}. Expected folder:PATH with the path of a "
            "folder of images."
        )
    if not os.path.isdir(path):
        raise errors.DataError(
            f"{path!r} is a file; expected a folder of images. Arrays are opened with "
            "arrays:FILE.npz, tar shards with webdataset:GLOB."
        )
    folders = sorted(entry.name for entry in _entries(path) if entry.is_dir())
    if split in folders:
        return os.path.join(path, split)
    if split != "train":
        shown = ", ".join(folders[:20]) + (", ..." if len(folders) > 20 else "")
        raise errors.DataError(
            f"Unknown split {split!r} of folder:{path}: it has no subfolder of that "
            f"name. Subfolders: {shown or 'none'}. Lay the images out as "
            f"{os.path.join(path, 'train')} and {os.path.join(path, split)}."
        )
    held_out = [name for name in _HELD_OUT if name in folders]
    if held_out:
        _log.warning(
            "folder %s has a subfolder %r but none named 'train': the split 'train' is "
            "the whole folder, those images among them.",
            path,
            held_out[0],
        )
    return path


class _Walk:
    """Finds the images below a folder, with one directory read per folder."""

    def __init__(self, root: str):
        self.root = root
        self.boundary = os.path.realpath(root)
        self.images: list[tuple[str, int]] = []
        self.other_extensions: collections.Counter[str] = collections.Counter()
        self.num_links_left_out = 0

    def run(self) -> None:
        """Fills ``images`` with relative paths and sizes in bytes, in any order."""
        stack = [("", False)]
        while stack:
            folder, is_linked = stack.pop()
            for entry in _entries(os.path.join(self.root, folder)):
                relative = f"{folder}{entry.name}"
                if not self._is_walked(entry, relative, is_linked=is_linked):
                    self.num_links_left_out += 1
                elif entry.is_dir():
                    stack.append((f"{relative}/", is_linked or entry.is_symlink()))
                elif entry.is_file():
                    self._add(relative, entry)

    def top_folders(self) -> list[str]:
        """Returns the names of the folders in the root that are walked, sorted."""
        return sorted(
            entry.name
            for entry in _entries(self.root)
            if entry.is_dir() and self._is_walked(entry, entry.name, is_linked=False)
        )

    def _add(self, relative: str, entry: os.DirEntry) -> None:
        extension = os.path.splitext(entry.name)[1].lower().lstrip(".")
        if extension in files.IMAGE_EXTENSIONS:
            self.images.append((relative, entry.stat().st_size))
        else:
            self.other_extensions[f".{extension}" if extension else "no extension"] += 1

    def _is_walked(self, entry: os.DirEntry, relative: str, *, is_linked: bool) -> bool:
        """Whether an entry, if it is a link, stays inside the root and in no circle."""
        if not entry.is_symlink():
            return True
        target = os.path.realpath(entry.path)
        if not os.path.exists(target):
            return False
        if os.path.commonpath([self.boundary, target]) != self.boundary:
            return False
        if not os.path.isdir(target):
            return True
        # Below a link no further link to a folder is followed: the walk ends.
        above = os.path.dirname(os.path.join(self.boundary, relative))
        return not is_linked and os.path.commonpath([above, target]) != target


def _entries(folder: str) -> list[os.DirEntry]:
    """Returns what is in a folder, without what is hidden."""
    try:
        with os.scandir(folder) as entries:
            # A leading dot is also that of ._x, which macOS writes beside x.
            seen = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise errors.DataError(
            f"The folder {folder!r} cannot be read: {error.strerror}."
        ) from error
    return [entry for entry in seen if entry.name != "__MACOSX"]


def _classes(root: str, split: str, paths: Sequence[str]) -> list[str]:
    """Returns the names of the classes; none where an image lies beside the folders."""
    if not all("/" in path for path in paths):
        return []
    classes = _Walk(root).top_folders()
    train = os.path.join(os.path.dirname(root), "train")
    if split == "train" or not os.path.isdir(train):
        return classes
    # A class without test images must not shift the numbers of those after it.
    of_train = _Walk(train).top_folders()
    unknown = [name for name in classes if name not in of_train]
    if of_train and unknown:
        raise errors.DataError(
            f"{root!r} has class folders that {train!r} has not: "
            f"{', '.join(unknown[:10])}. The classes of both must agree; to open a "
            f"split alone, use folder:{root} with the split 'train'."
        )
    return of_train or classes


def _no_images(root: str, walk: _Walk) -> str:
    """Returns the message for a folder without images."""
    found = ", ".join(
        f"{extension} ({count})"
        for extension, count in walk.other_extensions.most_common(8)
    )
    links = ""
    if walk.num_links_left_out:
        links = (
            f" {walk.num_links_left_out} symbolic links are broken or lead out of it: "
            "copy the files, or name the folder they are in."
        )
    return (
        f"There are no images in {root!r}. Files found: {found or 'none'}. These are "
        f"read: .{', .'.join(files.IMAGE_EXTENSIONS)}.{links}"
    )
