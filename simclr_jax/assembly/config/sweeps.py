"""From one config to several that differ in a few fields."""

import ast
import itertools
from collections.abc import Sequence

from simclr_jax.assembly.config import schema
from simclr_jax.core import errors


def sweep(config: schema.Config, fields: Sequence[str]) -> dict[str, schema.Config]:
    """Returns the configs that differ in the swept fields, by what differs.

    Args:
      config: the one that all start from.
      fields: ``FIELD=VALUE,VALUE,...``; a field of a part is ``encoder.width``.

    Returns:
      A config for each choice of values; of no fields, the config itself.

    Raises:
      UserError: if a field is not there or cannot hold a value.
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
