"""Validation of configs: allowed values, and fields that were moved or renamed."""

import importlib.util
import math
import pathlib
import sys
import zlib
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp

from simclr_jax import augment, encoders, losses, methods, nn, optim
from simclr_jax.core import checks, errors, keys, registry

Config = Any
"""An ``ml_collections.ConfigDict``, whose fields have no types."""

MOVED = {
    "accumulate": "execution.accumulate",
    "head": "method.head",
    "learning_rate": "optimizer.learning_rate",
    "learning_rate_scaling": "optimizer.learning_rate_scaling",
    "loss": "execution.loss_algorithm",
    "loss.schedule": "execution.loss_algorithm",
    "num_devices": "execution.num_devices",
    "optimizer.decay_all": 'optimizer.rules, as ((".*", {"decay": 1.0}),)',
    "remat": "execution.remat",
    "steps_per_call": "execution.steps_per_call",
    "temperature": "method.temperature",
    "warmup_epochs": "optimizer.warmup_epochs",
}
"""Fields of earlier versions, with their replacements."""

REGISTRIES = {
    "method": methods.METHODS,
    "encoder": encoders.ENCODERS,
    "augmentation": augment.RECIPES,
    "optimizer": optim.OPTIMIZERS,
}
"""Named parts of a config, with the registry in which each name is looked up."""

SCHEDULE_FIELDS = ("learning_rate", "learning_rate_scaling", "warmup_epochs", "rules")
"""Fields of ``config.optimizer`` that every optimizer has."""


def moved(name: str) -> str | None:
    """Describes the replacement of a field of an earlier version.

    Args:
      name: the field, with dots; may be inside a field that was moved.

    Returns:
      A sentence, or None if no earlier version has the field.
    """
    for old in (name, name.split(".")[0]):
        if old in MOVED:
            return f"config.{old} is now config.{MOVED[old]}."
    return None


def check(config: Config, *, method: methods.Method | None = None) -> None:
    """Raises unless the fields of a config and their values are valid.

    Files in ``config.modules`` are imported first.

    Args:
      config: the config.
      method: a method to train instead of that of the config; the parts that would
        build one are then not checked.

    Raises:
      UserError: with the field, its value and the allowed values.

    Example:
      >>> from simclr_jax import assembly
      >>> config = assembly.load_config("mnist")
      >>> assembly.config.check(config)
      >>> config.batch_size = 1
      >>> assembly.config.check(config)
      Traceback (most recent call last):
        ...
      simclr_jax.core.errors.UserError: batch_size must be at least 2, ...
    """
    _check_moved(config)
    import_modules(config.get("modules", ()))
    keys.check_seed(config.seed)
    if config.num_steps is None:
        checks.check_positive("epochs", config.epochs)
    else:
        checks.check_positive_int("num_steps", config.num_steps)
    for name in (
        "batch_size",
        "log_every_steps",
        "checkpoint_every_steps",
        "keep_checkpoints",
    ):
        checks.check_positive_int(name, config[name])
    if config.batch_size < 2:
        raise errors.UserError(
            "batch_size must be at least 2, because the other images of the batch are "
            f"the negatives; got {config.batch_size}."
        )
    _check_execution(config)
    _check_optimizer(config)
    if method is None:
        _check_parts(config)
    for name in ("num_workers", "num_threads", "resident_bytes"):
        checks.check_in_range(
            f"data.{name}", config.data[name] or 0, low=0.0, high=math.inf
        )


def import_modules(files: Iterable[str]) -> None:
    """Imports Python files that register methods, encoders or augmentations.

    Args:
      files: paths; files that were imported before are skipped.

    Raises:
      UserError: if a file is missing, or if its import raises.

    Example:
      >>> import pathlib, tempfile
      >>> from simclr_jax.assembly import config
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder, "my_method.py")
      ...     _ = path.write_text("print('imported')")
      ...     config.import_modules([str(path)])
      imported
    """
    for file in files:
        path = pathlib.Path(file).expanduser().resolve()
        name = f"simclr_jax_module_{path.stem}_{zlib.crc32(str(path).encode()):x}"
        if name in sys.modules:
            continue
        if not path.is_file():
            raise errors.UserError(
                f"config.modules names {file!r}, which is missing. Expected a Python "
                "file that registers names used by the config."
            )
        spec: Any = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except errors.UserError:
            del sys.modules[name]
            raise
        except Exception as error:
            del sys.modules[name]
            raise errors.UserError(
                f"{file!r} of config.modules cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error


def options_of(part: Config, *, without: Iterable[str] = ("name",)) -> dict[str, Any]:
    """Converts a part of a config to plain keyword arguments; lists become tuples."""
    values = part.to_dict() if hasattr(part, "to_dict") else dict(part)
    return {key: _plain(value) for key, value in values.items() if key not in without}


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _check_moved(config: Config) -> None:
    for name in MOVED:
        part, _, field = name.rpartition(".")
        holder = config.get(part, {}) if part else config
        if field in holder:
            raise errors.UserError(f"{moved(name)} Change the config file.")


def _check_execution(config: Config) -> None:
    execution = config.execution
    for name in ("accumulate", "steps_per_call"):
        checks.check_positive_int(f"execution.{name}", execution[name])
    for name in ("log_every_steps", "checkpoint_every_steps"):
        checks.check_divisible(
            name,
            config[name],
            by=execution.steps_per_call,
            remedy="Logging and saving happen only after steps_per_call steps.",
        )
    registry.lookup(
        "execution.loss_algorithm", execution.loss_algorithm, losses.ALGORITHMS
    )
    registry.lookup("execution.remat", execution.remat, nn.REMAT)


def _check_parts(config: Config) -> None:
    """Checks the names and options of all parts against their builders."""
    registry.lookup("compute_dtype", config.compute_dtype, DTYPES)
    for kind in ("method", "encoder", "augmentation"):
        REGISTRIES[kind].check(config[kind].name, options_of(config[kind]))


def _check_optimizer(config: Config) -> None:
    augment.RECIPES.check("evaluation", options_of(config.evaluation))
    optimizer = config.optimizer
    optim.OPTIMIZERS.check(
        optimizer.name, options_of(optimizer, without=("name", *SCHEDULE_FIELDS))
    )
    checks.check_positive("optimizer.learning_rate", optimizer.learning_rate)
    checks.check_in_range(
        "optimizer.warmup_epochs", optimizer.warmup_epochs, low=0.0, high=math.inf
    )


DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
"""Choices of ``config.compute_dtype``."""
