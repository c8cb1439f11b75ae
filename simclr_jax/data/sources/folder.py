"""Source ``folder:PATH``: image files, flat or in one folder per class.

Does not import JAX.
"""

import dataclasses
import logging
import os
from collections.abc import Sequence
from typing import final

import numpy as np

from simclr_jax.core import errors
from simclr_jax.data.sources import base as sources
from simclr_jax.data.sources import files, folder_walk

_log = logging.getLogger("simclr_jax")

_HELD_OUT = ("test", "val", "valid", "validation")


@final
@dataclasses.dataclass(frozen=True, eq=False)
class FolderSource:
    """Image files below a folder, in the order of their relative paths.

    Attributes:
      name: ``folder:SPLIT@DIGEST``, with a digest of relative paths and sizes.
      root: the folder.
      paths: path of every image relative to the root, with ``/``.
      labels: class numbers, int32 [n]; -1 without classes.
      num_classes: number of classes, or None without classes.
      class_names: names of the class folders by number; None without classes.
      image_shape: None, as image sizes may differ.
    """

    name: str
    root: str
    paths: tuple[str, ...]
    labels: np.ndarray
    num_classes: int | None
    class_names: tuple[str, ...] | None = None
    image_shape: tuple[int, int, int] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> list[sources.Record]:
        """Reads the files at ``indices`` without decoding them.

        Raises:
          DataError: if a file cannot be read.
        """
        return [
            sources.Record(image=self._read(index), label=int(self.labels[index]))
            for index in map(int, indices)
        ]

    def title_of(self, index: int) -> str:
        """Returns the path of image ``index`` relative to the root."""
        return _readable(self.paths[index])

    def _read(self, index: int) -> bytes:
        path = os.path.join(self.root, self.paths[index])
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            raise errors.DataError(
                f"{path!r} was found when the folder was opened but cannot be read "
                f"now: {error.strerror}."
            ) from error


def open_folder(path: str, *, split: str) -> FolderSource:
    """Opens a folder of images.

    If every image is in a subfolder, the subfolders are the classes, numbered in the
    order of their names. A folder that contains only one wrapper folder, which contains
    only folders, is replaced by the wrapper folder. Hidden files, and files that macOS
    adds to archives, are skipped. Symbolic links are followed; broken and circular
    links are logged.

    Args:
      path: the folder; ``~`` is the home folder.
      split: name of the subfolder to open; if there is no subfolder ``"train"``, this
        split is ``path`` itself.

    Returns:
      The source, whose records hold the bytes of the files.

    Raises:
      DataError: if the folder or the split is missing or contains no images.
    """
    outer = os.path.abspath(os.path.expanduser(path))
    root, of_train = _root_of(outer, split)
    walk = folder_walk.Walk(root)
    walk.run()
    if not walk.images:
        raise errors.DataError(_no_images(root, walk))
    if walk.left_out():
        _log.warning("folder %s: %s; they are skipped.", root, walk.left_out())
    images = sorted(walk.images)
    paths = tuple(name for name, _ in images)
    classes = _classes(root, of_train, paths)
    number_of = {name: number for number, name in enumerate(classes)}
    labels = [number_of.get(name.partition("/")[0], -1) for name in paths]
    return FolderSource(
        name=f"folder:{split}@{files.digest_of(images, num_records=len(images))}",
        root=root,
        paths=paths,
        labels=np.asarray(labels if classes else [-1] * len(paths), np.int32),
        num_classes=len(classes) or None,
        class_names=tuple(_readable(name) for name in classes) or None,
    )


def _root_of(path: str, split: str) -> tuple[str, list[str]]:
    """Returns the folder of a split, and for other splits the classes of train."""
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
    path = _unwrapped(path, stop_at=(split, "train"))
    folders = folder_walk.folders_in(path)
    if split in folders:
        of_train = []
        if split != "train" and "train" in folders:
            train = _unwrapped(os.path.join(path, "train"))
            of_train = folder_walk.folders_in(train)
        return _unwrapped(os.path.join(path, split), stop_at=of_train), of_train
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
            "the whole folder, including those images.",
            path,
            held_out[0],
        )
    return path, []


def _unwrapped(path: str, *, stop_at: Sequence[str] = ()) -> str:
    """Descends while a folder contains a single folder that contains only folders.

    Otherwise an archive that was unpacked with its top folder would be a single class.

    Args:
      path: a folder.
      stop_at: names of folders that are not descended into, such as splits.
    """
    outer = path
    while True:
        folders = folder_walk.folders_in(path)
        if len(folders) != 1 or folders[0] in stop_at or folder_walk.has_images(path):
            break
        inner = os.path.join(path, folders[0])
        if folder_walk.has_images(inner) or not folder_walk.folders_in(inner):
            break
        path = inner
    if path != outer:
        _log.info(
            "folder %s contains only the folder %r: the folders in it are used.",
            outer,
            os.path.relpath(path, outer),
        )
    return path


def _classes(root: str, of_train: list[str], paths: Sequence[str]) -> list[str]:
    """Returns the names of the classes; none if any image is outside subfolders."""
    if not all("/" in path for path in paths):
        return []
    classes = folder_walk.folders_in(root)
    # A class without test images must not shift the numbers of those after it.
    unknown = [name for name in classes if name not in of_train]
    if of_train and unknown:
        raise errors.DataError(
            f"{root!r} has class folders that the split 'train' does not have: "
            f"{', '.join(unknown[:10])}. The classes of both must agree; to open a "
            f"split alone, use folder:{root} with the split 'train'."
        )
    return of_train or classes


def _no_images(root: str, walk: folder_walk.Walk) -> str:
    """Returns the error message for a folder without images."""
    found = ", ".join(
        f"{extension} ({count})"
        for extension, count in walk.other_extensions.most_common(8)
    )
    links = f" {walk.left_out()}." if walk.left_out() else ""
    return (
        f"There are no images in {root!r}. Files found: {found or 'none'}. Supported "
        f"are: .{', .'.join(files.IMAGE_EXTENSIONS)}.{links}"
    )


def _readable(name: str) -> str:
    """Returns the name of a file as printable text."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
