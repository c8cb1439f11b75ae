"""Imports between config files of one folder, invisible to other modules."""

import contextlib
import importlib.abc
import importlib.machinery
import pathlib
import sys
import types
from collections.abc import Iterator, Sequence
from typing import final


@contextlib.contextmanager
def importable(folder: pathlib.Path) -> Iterator[None]:
    """Lets the files in a folder import each other by their plain names.

    The finder comes last, so the standard library and installed packages take
    precedence. It responds only to import statements in files of the folder, so a
    library that tries to import an optional package never gets a config file of that
    name. At the end, the modules are removed from ``sys.modules``, so that files of the
    same name in another folder can be loaded.

    Args:
      folder: the folder of a config file.

    Yields:
      Nothing.
    """
    finder = _SiblingFinder(folder)
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in list(sys.modules):
            if name.partition(".")[0] in finder.found:
                del sys.modules[name]


@final
class _SiblingFinder(importlib.abc.MetaPathFinder):
    """Finds modules in a folder, and the folder itself as a package."""

    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        self.found: set[str] = set()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Finds a top-level module in the folder; returns None for all others."""
        if path is not None or not self._is_imported_from_folder():
            return None
        find = importlib.machinery.PathFinder.find_spec
        spec = find(fullname, [str(self._folder)])
        if spec is None and fullname == self._folder.name:
            spec = find(fullname, [str(self._folder.parent)])
        if spec is not None:
            self.found.add(fullname)
        return spec

    def _is_imported_from_folder(self) -> bool:
        """Returns whether the import statement is in a file of the folder."""
        frame = sys._getframe()
        while frame and not _is_importing(frame):
            frame = frame.f_back
        while frame and _is_importing(frame):
            frame = frame.f_back
        return frame is not None and pathlib.Path(
            frame.f_code.co_filename
        ).is_relative_to(self._folder)


def _is_importing(frame: types.FrameType) -> bool:
    """Returns whether a frame belongs to the import system."""
    return str(frame.f_globals.get("__name__")).startswith("importlib.")
