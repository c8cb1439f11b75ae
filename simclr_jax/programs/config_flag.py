"""The flag ``--config``, and overrides of its fields, ``--config.FIELD=VALUE``."""

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
    """Loads the config that ``--config`` names."""

    def parse(self, argument: str) -> ml_collections.ConfigDict:
        config = assembly.load_config(argument)
        config.lock()  # No field may be added.
        return config


def define() -> flags.FlagHolder:
    """Defines the flag ``--config``; returns its holder."""
    if "config" in flags.FLAGS:  # Another program of this process has defined it.
        return flags.FlagHolder(flags.FLAGS, flags.FLAGS["config"])
    return flags.DEFINE(
        _ConfigParser(),
        "config",
        None,
        "Recipe or file: RECIPE, RECIPE:VARIANT, FILE.py or FILE.py:VARIANT; simclr "
        "configs lists the recipes. --config.FIELD=VALUE changes a field.",
    )


def apply(overrides: Sequence[tuple[str, str]]) -> None:
    """Applies overrides to the config of the flag ``--config``.

    Args:
      overrides: pairs (field, value), from ``take_overrides``.

    Raises:
      UserError: if there is no config, or a field or value is wrong.
    """
    config: Any = flags.FLAGS["config"].value if "config" in flags.FLAGS else None
    if config is None:
        raise errors.UserError(
            f"--config.{overrides[0][0]} changes a config; also give --config=RECIPE "
            "or --config=FILE.py."
        )
    for note in assembly.config.apply_overrides(config, overrides):
        _log.info("%s", note)


def take_overrides(
    arguments: list[str],
) -> tuple[list[str], list[tuple[str, str]]]:
    """Separates ``--config.FIELD=VALUE`` and ``--config.FIELD VALUE`` from other flags.

    Args:
      arguments: name of the program and its flags.

    Returns:
      The other arguments, and the pairs (field, value).

    Raises:
      UserError: if the last field has no value.
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
