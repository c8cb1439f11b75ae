"""Command-line entry point: ``python -m simclr_jax PROGRAM ...``, or ``simclr``."""

import importlib
import os
import sys

import simclr_jax
from simclr_jax.core import registry, signals

PROGRAMS = {
    "compile": "predict the speed of a training step on TPUs, without a TPU",
    "configs": "list the recipes that --config takes",
    "pretrain": "train an encoder on images without labels",
    "probe": "evaluate a checkpoint with a linear classifier",
    "views": "draw the augmented views of some images",
}


def main() -> None:
    """Runs the program named by the first command-line argument."""
    _search_current_folder_last()
    signals.install()  # Before the imports, which take seconds.
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_usage())
        sys.exit(0 if arguments else 2)
    name = arguments[0]
    if name not in PROGRAMS:
        print(f"error: {registry.unknown_name('program', name, PROGRAMS)}")
        sys.exit(2)
    from simclr_jax.programs import cli

    program = importlib.import_module(f"simclr_jax.programs.{name}")
    sys.exit(cli.run(program.main, [f"simclr {name}", *arguments[1:]]))


def _search_current_folder_last() -> None:
    """Moves the current folder from the start of ``sys.path`` to its end.

    ``python -m`` puts it first, so libraries would import a ``secrets.py`` or
    ``numbers.py`` that lies there. It stays first if it contains this package (a
    checkout), because worker processes must import the same package.
    """
    here = os.getcwd()
    holds_package = os.path.realpath(here) == os.path.dirname(
        os.path.dirname(os.path.realpath(simclr_jax.__file__))
    )
    if sys.path and sys.path[0] in ("", here) and not holds_package:
        sys.path.append(sys.path.pop(0))


def _usage() -> str:
    rows = [f"  {name:<10} {text}" for name, text in PROGRAMS.items()]
    head = "usage: simclr PROGRAM --flag=value ..."
    foot = "simclr PROGRAM --help lists the flags of a program."
    return "\n".join([head, "", *rows, "", foot])


if __name__ == "__main__":
    main()
