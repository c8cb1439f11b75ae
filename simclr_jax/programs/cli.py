"""What the programs share: flags, errors without tracebacks, the compilation cache."""

import ast
import logging
import os
import pathlib
import sys
from collections.abc import Callable

import jax
from absl import flags

from simclr_jax.core import errors, signals


def run(main: Callable[[], int | None], arguments: list[str]) -> int:
    """Parses the flags, then runs a program as ``guard`` does.

    Args:
      main: the program; returns its exit code, None for 0.
      arguments: the program's name and its flags.

    Returns:
      The exit code.
    """

    def parse_and_run() -> int | None:
        _parse_flags(arguments)
        return main()

    return guard(parse_and_run)


def guard(main: Callable[[], int | None]) -> int:
    """Runs a program and turns a user's error into one message without a traceback.

    Args:
      main: the program; returns its exit code, None for 0.

    Returns:
      The exit code; of a ``UserError``, its ``exit_code``.
    """
    logging.basicConfig(
        format="%(levelname)s: %(message)s", stream=sys.stderr, force=True
    )
    logging.getLogger("simclr_jax").setLevel(logging.INFO)
    _enable_compilation_cache()
    try:
        with signals.watched():
            return main() or 0
    except errors.UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except errors.StoppedError as stopped:
        print(stopped)
        return errors.PREEMPTED_EXIT_CODE


def _parse_flags(arguments: list[str]) -> None:
    """Parses absl flags, config files and overrides among them.

    Raises:
      UserError: for an unknown flag, config file, field or variant.
    """
    _find_configs(arguments)
    try:
        unparsed = flags.FLAGS(arguments)[1:]
    except (flags.Error, AttributeError, KeyError, OSError, TypeError) as error:
        raise errors.UserError(_plain_message(error)) from error
    if unparsed:
        raise errors.UserError(
            f"Expected flags only; got {' '.join(unparsed)!r}. Flags are written "
            "--name=value."
        )


def _plain_message(error: BaseException) -> str:
    """Returns the message of a flag's error without the traceback in it."""
    text = str(error.args[0]) if error.args else str(error)
    if "Traceback" in text:  # an error inside a config file: its own message is last
        text = text.strip().splitlines()[-1]
    if text[:1] == text[-1:] == "'":  # a KeyError quotes its message
        text = ast.literal_eval(text)
    return " ".join(text.split())


def _find_configs(arguments: list[str]) -> None:
    """Lets ``configs/x.py`` say ``from configs import common`` from any directory.

    Raises:
      UserError: if a config file is not there.
    """
    for index, argument in enumerate(arguments):
        name, separator, value = argument.lstrip("-").partition("=")
        if name == "config":
            value = value if separator else "".join(arguments[index + 1 : index + 2])
            path = pathlib.Path(value.split(":")[0])
            if not path.is_file():
                raise errors.UserError(
                    f"The config file {str(path)!r} is not there. Expected "
                    "--config=FILE.py or --config=FILE.py:VARIANT."
                )
            sys.path.insert(0, str(path.absolute().parent.parent))


def _enable_compilation_cache() -> None:
    """Keeps compiled programs for the next run, in a folder of the user's own."""
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        home = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
        folder = pathlib.Path(home, "simclr_jax", "compiled")
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
