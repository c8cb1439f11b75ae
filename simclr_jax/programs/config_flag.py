"""Parsing of flags, of ``--config`` and of overrides, ``--config.FIELD=VALUE``."""

import ast
import itertools
import logging
import re
from collections.abc import Sequence
from typing import Any, final

import ml_collections
from absl import flags

from simclr_jax import assembly
from simclr_jax.core import errors, registry

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


def parse(arguments: list[str], *, module: str) -> None:
    """Parses the flags of a program and the overrides of ``--config``.

    Args:
      arguments: name of the program and its flags.
      module: dotted name of the module that defines the flags.

    Raises:
      UserError: if a flag is unknown, or a flag, a field or a value is wrong.
    """
    arguments, overrides = take_overrides(arguments)
    try:
        unparsed = flags.FLAGS(arguments)[1:]
    except flags.UnrecognizedFlagError as error:
        modules = (module, __name__)
        keys = map(flags.FLAGS.get_key_flags_for_module, modules)
        names = [flag.name for flag in itertools.chain(*keys)]
        message = registry.unknown_name("flag", error.flagname, names)
        raise errors.UserError(message) from error
    except (flags.Error, AttributeError, KeyError, OSError, TypeError) as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, errors.UserError):  # From the parser of a flag.
            raise cause from None
        raise errors.UserError(_plain_message(error)) from error
    if unparsed:
        raise errors.UserError(
            f"Expected flags only; got {' '.join(unparsed)!r}. Flags are written "
            "--name=value."
        )
    if overrides:
        apply(overrides)


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


def _plain_message(error: BaseException) -> str:
    """Returns the message of a flag error without the traceback it contains."""
    text = str(error.args[0]) if error.args else str(error)
    if "Traceback" in text:  # An error in a config file; its message is the last line.
        text = text.strip().splitlines()[-1]
    if text[:1] == text[-1:] == "'":  # A KeyError quotes its message.
        text = ast.literal_eval(text)
    return " ".join(text.split())
