"""Stands for python, pip and pytest in the tests of documents: the same, but short.

``shortened.py NAME ARGUMENTS``: a program of the library gets flags beside those that
are written, which make it small; what is written is passed on unchanged. pip checks
that the requested packages exist, and installs nothing. No jax here.
"""

import importlib.util
import os
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).parents[1]

SMALL = {
    "mnist": ("augmentation.size=12", "evaluation.size=12"),
    "cifar10": (
        "encoder.name=convnet",
        "augmentation.size=16",
        "evaluation.size=16",
        "compute_dtype=float32",
    ),
    "imagenet": (
        "encoder.name=convnet",
        "augmentation.size=32",
        "augmentation.dtype=float32",
        "evaluation.size=32",
        "compute_dtype=float32",
        "data.canvas=48",
    ),
}
"""Fields by the beginning of a recipe's name; a command that sets them wins."""

SHORT = ("batch_size=16", "log_every_steps=1", "checkpoint_every_steps=2")
"""Fields that win over those of a command."""


def main():
    """Replaces this process by the command, with flags that make it short."""
    name, *arguments = sys.argv[1:]
    if name == "pip":
        sys.exit(check_installable(arguments))
    if name in ("pytest", "ruff", "mkdocs"):  # CI runs them by themselves
        sys.exit(None if importlib.util.find_spec(name) else f"{name} is missing")
    if name == "simclr":
        arguments = ["-m", "simclr_jax", *arguments]
    os.execv(sys.executable, [sys.executable, *shorten(arguments)])


def shorten(arguments):
    """Returns the arguments of Python with flags that make a known program short."""
    if arguments[:2] == ["-m", "simclr_jax"]:
        program, *flags = arguments[2:]
        before, after = extra_flags(program, flags)
        return ["-m", "simclr_jax", program, *before, *flags, *after]
    if arguments and arguments[0].startswith("examples/"):
        if "simclr_contrastive" in arguments[0] or "/13_" in arguments[0]:
            return [*arguments, "--epochs=1", "--batch_size=16"]
        return [*arguments, *(["--smoke"] if "methods/" in arguments[0] else [])]
    return arguments


def extra_flags(program, flags):
    """Returns flags to be put before and after those of a command."""
    text = " ".join(flags)
    if program == "views":
        return ["--size=32", "--canvas=48"], []
    recipe = re.search(r"--config[= ](\w+)", text)
    if program not in ("pretrain", "compile") or recipe is None:
        return [], []
    small = next(
        (v for k, v in SMALL.items() if recipe[1].startswith(k)), SMALL["mnist"]
    )
    before = [f"--config.{field}" for field in small]
    if program == "compile":
        return before, []
    steps = 16 if "--profile_steps" in text else 2
    after = [f"--config.{field}" for field in (*SHORT, f"num_steps={steps}")]
    if "mnist_sample" in text:  # two steps are an epoch
        after.append("--config.data.split=train[:32]")
    return before, after


def check_installable(arguments):
    """Returns 0 if ``pip install -e ".[EXTRAS]"`` names extras that exist."""
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = re.fullmatch(r"install -e \.(?:\[([\w,]+)\])?", " ".join(arguments))
    extras = set((wanted[1] or "").split(",")) - {""} if wanted else {"?"}
    unknown = extras - set(known["optional-dependencies"])
    if unknown:
        print(f"pip: {' '.join(arguments)} has unknown extras: {unknown}")
    return 1 if unknown else 0


if __name__ == "__main__":
    main()
