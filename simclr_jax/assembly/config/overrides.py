"""Command-line overrides of config fields: ``--config.FIELD=VALUE``.

Parts of a config have a name and options. If the name is overridden, options that the
recipe sets for the old name are dropped: for a method all of them, for other parts
those that the new name does not accept. Options on the command line are kept, and
checked as usual.
"""

import ast
from collections.abc import Sequence
from typing import Any

import ml_collections

from simclr_jax.assembly.config import schema
from simclr_jax.core import errors, registry

OPEN_PARTS = ("method", "encoder", "augmentation", "evaluation", "optimizer", "hooks")
"""Parts that accept fields missing from the recipe: options of the named object."""


def apply_overrides(
    config: schema.Config, overrides: Sequence[tuple[str, str]]
) -> list[str]:
    """Applies command-line overrides to a config.

    Args:
      config: modified in place.
      overrides: pairs (field, value) of strings, e.g. ``("method.name", "byol")``.

    Returns:
      One line per changed name, with the options that were dropped.

    Raises:
      UserError: if a field is unknown, or if a value has the wrong type.

    Example:
      >>> from simclr_jax import assembly
      >>> config = assembly.load_config("mnist")
      >>> assembly.config.apply_overrides(config, [("batch_size", "64")])
      []
      >>> config.batch_size
      64
    """
    schema.import_modules(_modules(config, overrides))
    names = [item for item in overrides if _is_name(item[0])]
    notes = [note for item in names if (note := _rename(config, *item))]
    with config.unlocked():
        for field, text in overrides:
            if not _is_name(field):
                _set(config, field, text)
    return notes


def _modules(
    config: schema.Config, overrides: Sequence[tuple[str, str]]
) -> tuple[str, ...]:
    """Returns the Python files to import before names are looked up."""
    given = [text for field, text in overrides if field == "modules"]
    return _parse_tuple(given[-1]) if given else tuple(config.get("modules", ()))


def _is_name(field: str) -> bool:
    part, _, option = field.partition(".")
    return option == "name" and part in schema.REGISTRIES


def _rename(config: schema.Config, field: str, name: str) -> str | None:
    """Sets the name of a part and drops options that belong to the old name."""
    kind = field.partition(".")[0]
    part, known = config[kind], schema.REGISTRIES[kind]
    registry.lookup(known.kind, name, known)
    old = part.name
    if name == old:
        return None
    general = schema.SCHEDULE_FIELDS if kind == "optimizer" else ()
    taken = set() if kind == "method" else set(known.options(name))
    stale = [key for key in part if key not in {"name", *general, *taken}]
    with config.unlocked():
        for key in stale:
            del part[key]
        part.name = name
    dropped = f" without {', '.join(stale)} of {old}" if stale else ""
    return f"config.{kind} is {name}{dropped}."


def _set(config: schema.Config, field: str, text: str) -> None:
    """Sets a field to a text, converted to the type of the field."""
    *parents, last = field.split(".")
    holder: Any = config
    for index, parent in enumerate(parents):
        if parent not in holder and parents[0] == "hooks" and index == 1:
            holder[parent] = ml_collections.ConfigDict()
        if not isinstance(holder, ml_collections.ConfigDict) or parent not in holder:
            raise _unknown(config, field)
        holder = holder[parent]
    if not isinstance(holder, ml_collections.ConfigDict):
        raise _unknown(config, field)
    if last in holder:
        value = _parse(field, text, holder.get_type(last), holder[last])
    elif parents and parents[0] in OPEN_PARTS:
        value = _parse_any(text)
    else:
        raise _unknown(config, field)
    try:
        holder[last] = value
    except (TypeError, ValueError) as error:
        raise _wrong(field, text, holder.get_type(last)) from error


def _parse(field: str, text: str, kind: type, current: Any) -> Any:
    """Converts a text to a type.

    Raises:
      UserError: if the text has another type.
    """
    if text in ("None", "none") and current is None:
        return None
    if issubclass(kind, str):
        return text
    if issubclass(kind, tuple):
        return _parse_tuple(text)
    value = _parse_any(text)
    if issubclass(kind, bool):
        value = {"true": True, "false": False}.get(text.lower(), value)
    elif issubclass(kind, float) and isinstance(value, int):
        value = value if isinstance(value, bool) else float(value)
    if issubclass(kind, ml_collections.ConfigDict) and isinstance(value, dict):
        return ml_collections.ConfigDict(value)
    if value is not None and (
        not isinstance(value, kind) or isinstance(value, bool) != issubclass(kind, bool)
    ):
        raise _wrong(field, text, kind)
    return value


def _parse_tuple(text: str) -> tuple[Any, ...]:
    value = _parse_any(text)
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _parse_any(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _wrong(field: str, text: str, kind: type) -> errors.UserError:
    return errors.UserError(
        f"--config.{field} must be of type {kind.__name__}; got {text!r}."
    )


def _unknown(config: schema.Config, field: str) -> errors.UserError:
    where = schema.moved(field)
    if where is not None:
        return errors.UserError(f"There is no --config.{field}: {where}")
    return errors.UserError(
        registry.unknown_name("field of the config:", field, _names(config))
    )


def _names(config: schema.Config, prefix: str = "") -> list[str]:
    names = []
    for key, value in config.items():
        if isinstance(value, ml_collections.ConfigDict) and len(value):
            names += _names(value, f"{prefix}{key}.")
        else:
            names.append(prefix + key)
    return names
