"""Resolution of paths given by the user, and atomic writing of files.

Every path that a user gives passes through ``local_path`` (a file or a folder),
``output_file`` (a file to be written) or ``local_pattern`` (a path with wildcards).
"""

import contextlib
import os
import pathlib
import re
import secrets
from collections.abc import Iterator

from simclr_jax.core import errors

# One slash suffices: ``pathlib`` turns ``gs://bucket`` into ``gs:/bucket``. A scheme
# has at least two letters, so that ``C:/`` is a path.
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/+(?P<rest>.*)", re.DOTALL)

_MOUNT = "Mount the bucket with {} and give the mounted folder, or use a local disk."
_REMEDIES = {
    "gs": _MOUNT.format("gcsfuse"),
    "s3": _MOUNT.format("mount-s3 or s3fs"),
    "az": _MOUNT.format("blobfuse2"),
    "file": "Write the path alone, without file://.",
    "http": "Download it to a local disk first.",
    "https": "Download it to a local disk first.",
}


def url_scheme(text: str | os.PathLike[str]) -> str | None:
    """Returns the URL scheme of ``text``, ``"gs"`` of ``gs://bucket``; None of a path.

    Example:
      >>> from simclr_jax.core import paths
      >>> paths.url_scheme("gs://bucket/run")
      'gs'
    """
    match = _URL.match(os.fspath(text))
    return match["scheme"].lower() if match else None


def local_pattern(text: str | os.PathLike[str], *, what: str) -> str:
    """Expands ``~`` in a path or a pattern that must be on a local disk.

    Args:
      text: the path; ``~`` or ``~USER`` at its start is a home folder. A folder whose
        name begins with ``~`` is written ``./~NAME``.
      what: names the path in messages, e.g. ``"workdir"``.

    Returns:
      The path as text, relative if it was.

    Raises:
      UserError: for a URL, an empty path or an unknown user; says what to do.

    Example:
      >>> from simclr_jax.core import paths
      >>> paths.local_pattern("photos/*.jpg", what="source")
      'photos/*.jpg'
    """
    text = os.fspath(text)
    if not text:
        raise errors.UserError(f"{what} is empty; expected a path.")
    scheme = url_scheme(text)
    if scheme is not None:
        remedy = _REMEDIES.get(scheme, "Use a local disk.")
        raise errors.UserError(
            f"{what} {text!r} is a URL; expected a path on a local disk. {remedy}"
        )
    expanded = os.path.expanduser(text)
    if expanded == text and text.startswith("~"):
        raise errors.UserError(
            f"{what} {text!r} names the home folder of a user who is unknown here. "
            f"Write {'./' + text!r} for a file or folder of this name."
        )
    return expanded


def local_path(text: str | os.PathLike[str], *, what: str) -> pathlib.Path:
    """Returns the absolute path of a file or folder that a user names.

    Relative paths start at the current folder. ``..`` is the folder above as the
    operating system has it, also behind a symbolic link; other links stay as written.

    Args:
      text: the path, see ``local_pattern``.
      what: names the path in messages, e.g. ``"workdir"``.

    Returns:
      An absolute path without ``..``; need not exist.

    Raises:
      UserError: for a URL, an empty path or an unknown user; says what to do.

    Example:
      >>> from simclr_jax.core import paths
      >>> paths.local_path("runs/../mnist", what="workdir").name
      'mnist'
    """
    path = pathlib.Path(local_pattern(text, what=what)).absolute()
    if ".." not in path.parts:
        return path
    end = len(path.parts) - path.parts[::-1].index("..")
    above = os.path.realpath(pathlib.Path(*path.parts[:end]))
    return pathlib.Path(above, *path.parts[end:])


def output_file(text: str | os.PathLike[str], *, what: str) -> pathlib.Path:
    """Returns the path of a file to be written later; makes its folder now.

    Call it before a long computation, so that a wrong path is reported at the start.

    Args:
      text: the path, see ``local_pattern``.
      what: names the path in messages, e.g. ``"output"``.

    Returns:
      The absolute path.

    Raises:
      UserError: if it is a folder or cannot be written to, or as ``local_path``.

    Example:
      >>> from simclr_jax.core import paths
      >>> paths.output_file("new/folder/probe.json", what="output").parent.is_dir()
      True
    """
    path = local_path(text, what=what)
    if os.path.isdir(path) or os.fspath(text).endswith("/"):
        raise errors.UserError(
            f"{what} {os.fspath(text)!r} is a folder; expected the path of a file."
        )
    if _is_special(path):
        return path
    try:
        folder = pathlib.Path(os.path.realpath(path)).parent
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / _temporary_name()
        trial.touch(exist_ok=False)
        trial.unlink()
        with contextlib.suppress(FileNotFoundError):
            path.lstat()  # raises where the name is too long
    except OSError as error:
        raise _not_writable(path, what, error) from error
    return path


@contextlib.contextmanager
def replacing(path: pathlib.Path, *, what: str) -> Iterator[pathlib.Path]:
    """Yields a temporary file that replaces ``path`` when the block ends.

    ``path`` is either unchanged or completely written. Where it is a symbolic link,
    the file behind the link is replaced; a pipe or a device is written to directly.

    Args:
      path: the file to write.
      what: names the path in messages, e.g. ``"output"``.

    Yields:
      The path to write to, in the same folder.

    Raises:
      UserError: if it cannot be written.

    Example:
      >>> import pathlib
      >>> from simclr_jax.core import paths
      >>> with paths.replacing(pathlib.Path("a.txt"), what="output") as temporary:
      ...     temporary.write_text("done")
      4
      >>> pathlib.Path("a.txt").read_text()
      'done'
    """
    if _is_special(path):
        yield path
        return
    target = pathlib.Path(os.path.realpath(path))
    temporary = target.with_name(_temporary_name())
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise _not_writable(path, what, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_text(path: pathlib.Path, text: str, *, what: str) -> None:
    """Writes a text file atomically, in UTF-8.

    Args:
      path: the file to write.
      text: its contents.
      what: names the path in messages, e.g. ``"output"``.

    Raises:
      UserError: if it cannot be written.

    Example:
      >>> import pathlib
      >>> from simclr_jax.core import paths
      >>> paths.write_text(pathlib.Path("b.txt"), "done", what="output")
      >>> pathlib.Path("b.txt").read_text()
      'done'
    """
    with replacing(path, what=what) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _is_special(path: pathlib.Path) -> bool:
    """Returns whether the path exists and is not a regular file, such as a pipe."""
    return os.path.exists(path) and not os.path.isfile(path)


def _temporary_name() -> str:
    """Returns a name that is free and, unlike ``NAME.tmp``, never too long."""
    return f".{secrets.token_hex(8)}.tmp"


def _not_writable(path: pathlib.Path, what: str, error: OSError) -> errors.UserError:
    return errors.UserError(
        f"{what} {str(path)!r} cannot be written: {error.strerror or error}. Choose "
        "a file in a folder of your own with free space."
    )
