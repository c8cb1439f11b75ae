"""Sweeps: several configs that differ from one config in a few fields."""

import ast
import itertools
from collections.abc import Sequence

from simclr_jax.assembly.config import schema
from simclr_jax.core import errors


def sweep(config: schema.Config, fields: Sequence[str]) -> dict[str, schema.Config]:
    """Creates one config for each combination of values of the swept fields.

    Args:
      config: the base config; not modified.
      fields: ``FIELD=VALUE,VALUE,...``; dots denote fields of parts, as in
        ``encoder.width=1,2``.

    Returns:
      The configs by a description of their values; without fields, the config itself.

    Raises:
      UserError: if a field is missing or cannot have a value.

    Example:
      >>> from simclr_jax import assembly
      >>> config = assembly.load_config("mnist")
      >>> list(assembly.sweep(config, ["batch_size=64,128", "seed=1"]))
      ['batch_size=64, seed=1', 'batch_size=128, seed=1']
    """
    axes = []
    for text in fields or [f"batch_size={config.batch_size}"]:
        name, _, values = text.partition("=")
        axes.append([(name, _parse_value(value)) for value in values.split(",")])
    configs = {}
    for choice in itertools.product(*axes):
        changed = config.copy_and_resolve_references()
        changed.lock()  # no field may be added
        try:
            changed.update_from_flattened_dict(dict(choice))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise errors.UserError(
                f"--sweep={' '.join(fields)} cannot be applied: {error} Expected "
                "FIELD=VALUE,VALUE,... with fields of the config."
            ) from error
        configs[", ".join(f"{name}={value}" for name, value in choice)] = changed
    return configs


def _parse_value(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
