"""The flag ``--config``, and ``--config.FIELD=VALUE``, which changes a field of it."""

import logging
import re
from collections.abc import Sequence
from typing import Any, final

import ml_collections
from absl import flags

from simclr_jax import assembly
from simclr_jax.core import errors

_log = logging.getLogger("simclr_jax")


@final
class _ConfigParser(flags.ArgumentParser):
    """Loads what ``--config`` names."""

    def parse(self, argument: str) -> ml_collections.ConfigDict:
        config = assembly.load_config(argument)
        config.lock()  # no field may be added
        return config


def define() -> flags.FlagHolder:
    """Defines ``--config``, whose fields ``--config.FIELD=VALUE`` changes."""
    if "config" in flags.FLAGS:  # two programs in one process
        return flags.FlagHolder(flags.FLAGS, flags.FLAGS["config"])
    return flags.DEFINE(
        _ConfigParser(),
        "config",
        None,
        "RECIPE, FILE.py, or either with :VARIANT; simclr configs lists the recipes. "
        "--config.FIELD=VALUE changes a field.",
    )


def apply(overrides: Sequence[tuple[str, str]]) -> None:
    """Changes the config that the flags name.

    Args:
      overrides: pairs (field, value), as ``take_overrides`` returns them.

    Raises:
      UserError: if there is no config, or a field or value is wrong.
    """
    config: Any = flags.FLAGS["config"].value if "config" in flags.FLAGS else None
    if config is None:
        raise errors.UserError(
            f"--config.{overrides[0][0]} changes a config; give --config=RECIPE or "
            "--config=FILE.py too."
        )
    for note in assembly.config.apply_overrides(config, overrides):
        _log.info("%s", note)


def take_overrides(
    arguments: list[str],
) -> tuple[list[str], list[tuple[str, str]]]:
    """Splits ``--config.FIELD=VALUE``, or ``--config.FIELD VALUE``, off arguments.

    Args:
      arguments: the program's name and its flags.

    Returns:
      The other arguments, and the pairs (field, value).

    Raises:
      UserError: if the last one lacks its value.
    """
    others: list[str] = []
    overrides: list[tuple[str, str]] = []
    remaining = iter(arguments)
    for argument in remaining:
        match = re.fullmatch(r"--?config\.([^=]+)(?:=(.*))?", argument, re.DOTALL)
        if match is None:
            others.append(argument)
            continue
        value = match[2] if match[2] is not None else next(remaining, None)
        if value is None:
            raise errors.UserError(f"{argument} needs a value: {argument}=VALUE.")
        overrides.append((match[1], value))
    return others, overrides
