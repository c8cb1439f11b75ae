"""``python -m simclr_jax PROGRAM ...``, the same as ``simclr PROGRAM ...``."""

import importlib
import os
import sys

import simclr_jax
from simclr_jax.core import registry, signals

PROGRAMS = {
    "compile": "predicts the speed of a training step on TPUs that are not there",
    "configs": "lists the recipes for --config",
    "pretrain": "learns an encoder from images without labels",
    "probe": "reads a checkpoint with a linear classifier",
    "views": "draws the views that a recipe makes of some images",
}


def main() -> None:
    """Runs the program that the first argument names."""
    _search_current_folder_last()
    signals.install()  # before the imports, which take seconds
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
    """Moves the folder that ``python -m`` puts first in ``sys.path`` to its end.

    A ``secrets.py`` or ``numbers.py`` there would be imported by libraries. Where it
    holds this package itself, a checkout, it stays: worker processes must find the same
    package.
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
