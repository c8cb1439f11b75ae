"""Common parts of the programs: error messages, exit codes, the compilation cache."""

import io
import logging
import os
import pathlib
import sys
from collections.abc import Callable

import jax

from simclr_jax.core import errors, paths, signals
from simclr_jax.programs import config_flag


def run(main: Callable[[], int | None], arguments: list[str]) -> int:
    """Parses the flags and runs a program; see ``guard``.

    Args:
      main: the program; returns its exit code, None for 0.
      arguments: name of the program and its flags.

    Returns:
      The exit code.
    """

    def parse_and_run() -> int | None:
        config_flag.parse(arguments, module=main.__module__)
        return main()

    return guard(parse_and_run)


def guard(main: Callable[[], int | None]) -> int:
    """Runs a program and prints a ``UserError`` as a message without a traceback.

    Args:
      main: the program; returns its exit code, None for 0.

    Returns:
      The exit code; for a ``UserError``, its ``exit_code``.
    """
    logging.basicConfig(
        format="%(levelname)s: %(message)s", stream=sys.stderr, force=True
    )
    logging.getLogger("simclr_jax").setLevel(logging.INFO)
    for stream in (sys.stdout, sys.stderr):  # A path may not be encodable.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        _enable_compilation_cache()
        with signals.watched():
            code = main() or 0
        sys.stdout.flush()  # A closed pipe raises here rather than at exit.
        return code
    except BrokenPipeError:  # As of `simclr configs | head`.
        if not _is_output_closed():
            raise
        return 128 + 13  # As if ended by SIGPIPE.
    except errors.UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except errors.StoppedError as stopped:
        print(stopped)
        return errors.PREEMPTED_EXIT_CODE


def _is_output_closed() -> bool:
    """Returns whether standard output is a closed pipe, and if so, discards it."""
    try:
        print(flush=True)
    except BrokenPipeError:  # Python flushes again at exit, which must not raise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _enable_compilation_cache() -> None:
    """Enables the persistent compilation cache, in a folder of the user.

    Raises:
      UserError: if ``JAX_COMPILATION_CACHE_DIR`` is neither a path nor a bucket.
    """
    chosen = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if chosen:  # JAX reads it too, but does not expand ``~``.
        if paths.url_scheme(chosen) != "gs":
            chosen = str(paths.local_path(chosen, what="JAX_COMPILATION_CACHE_DIR"))
        jax.config.update("jax_compilation_cache_dir", chosen)
        return
    home = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    folder = pathlib.Path(home, "simclr_jax", "compiled")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
