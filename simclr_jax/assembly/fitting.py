"""Training from Python: ``fit`` trains a method, or a config, on images."""

import contextlib
import hashlib
import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
from flax import nnx

from simclr_jax import data, methods, training
from simclr_jax.assembly import parts
from simclr_jax.assembly import run as runs
from simclr_jax.assembly.checkpoints import loaded
from simclr_jax.assembly.config import config_files, defaults, overrides, schema
from simclr_jax.core import errors, paths, registry


def fit(
    method_or_config: methods.Method | schema.Config | str,
    source: str | np.ndarray | data.Source | data.Dataset | None,
    *,
    workdir: str | os.PathLike[str],
    num_steps: int | None = None,
    batch_size: int | None = None,
    optimizer: str | Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    hooks: Sequence[training.Hook] | Mapping[str, Any] = (),
    **fields: Any,
) -> loaded.LoadedEncoder:
    """Trains a method on images, and returns the trained encoder.

    Works in scripts and in notebooks. If the working directory contains checkpoints of
    the same run, training continues from the newest one. On Ctrl-C, the state is saved
    and the encoder trained so far is returned; the same call continues the run.

    Args:
      method_or_config: a method, whose arrays are replaced by the trained ones; a
        config; or a value of ``--config``, such as ``"mnist:smoke"``.
      source: the images: a name such as ``"folder:PATH"`` (see ``data.open_source``);
        uint8 images [n h w c] without labels; or an open source such as
        ``data.ArraySource``. None: the data of the config.
      workdir: directory of checkpoints and ``metrics.jsonl``; created if missing.
      num_steps: number of updates in the run; None: as in the config.
      batch_size: number of images in a batch; None: as in the config.
      optimizer: a name, or fields of ``config.optimizer``, with a default learning rate
        of 1e-3 without scaling. None: Adam for a method, otherwise as in the config.
      evaluation: options of ``augment.evaluation``, the preprocessing of images to
        embed. None: the size of the views, or as in the config.
      hooks: called after every step with ``(step, state, metrics)``; the numbers they
        return are written to ``metrics.jsonl``. Or a dict, as ``config.hooks``.
      **fields: other fields of the config, e.g. ``seed=1``, ``log_every_steps=10``. A
        dict with the key ``name`` replaces a part of the config; a dict without it
        changes single fields, e.g. ``execution={"num_devices": 1}``.

    Returns:
      The trained encoder, equal to ``load(workdir)``.

    Raises:
      UserError: if an argument, the data or the working directory is invalid.

    Example:
      >>> import tempfile
      >>> import jax
      >>> import numpy as np
      >>> from flax import nnx
      >>> import simclr_jax
      >>> from simclr_jax import methods
      >>> rngs = nnx.Rngs(0)
      >>> flatten = lambda images: images.reshape(len(images), -1)
      >>> encoder = nnx.Sequential(flatten, nnx.Linear(64, 16, rngs=rngs))
      >>> head = nnx.Linear(16, 8, rngs=rngs)
      >>> noise = lambda key, image: image + jax.random.normal(key, image.shape)
      >>> method = methods.SimCLR(encoder, head=head, augmentation=noise)
      >>> images = np.zeros((32, 8, 8, 1), np.uint8)  # your own images
      >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +SKIP
      ...     trained = simclr_jax.fit(
      ...         method,
      ...         images,
      ...         workdir=f"{folder}/run",
      ...         num_steps=2,
      ...         batch_size=16,
      ...         evaluation={"size": 8},
      ...     )
      data      array ...
      >>> trained.embed(images).shape  # doctest: +SKIP
      (32, 16)
    """
    config, method = _open_config(method_or_config)
    fields |= {"num_steps": num_steps} if num_steps is not None else {}
    fields |= {"batch_size": batch_size} if batch_size is not None else {}
    if isinstance(hooks, Mapping):
        fields, hooks = fields | {"hooks": hooks}, ()
    _apply(config, fields, made=() if method is None else MADE)
    _check_hooks(hooks)
    if optimizer is not None:
        given = {"name": optimizer} if isinstance(optimizer, str) else dict(optimizer)
        config.optimizer = ml_collections.ConfigDict(defaults.OPTIMIZER | given)
    if evaluation is not None:
        config.evaluation = ml_collections.ConfigDict(dict(evaluation))
    if method is not None and source is None:
        raise errors.UserError(
            "fit of a method needs a source of images; got None. Expected a name such "
            'as "folder:PATH", uint8 images [n h w c] or an open source.'
        )
    if source is None or isinstance(source, str):
        # Absolute, so that the checkpoint alone suffices to find the data later.
        config.data.source = data.absolute_spec(source or config.data.source)
        config.data.data_dir = data.absolute_data_dir(config.data.data_dir)
    schema.check(config, method=method)
    named = source is None or isinstance(source, str)
    images = None if named else _as_images(source, config)
    with contextlib.ExitStack() as stack:
        folder = training.open_workdir(paths.local_path(workdir, what="workdir"), stack)
        run = runs.assemble(
            config,
            images=images,
            method=method,
            cache_dir=folder.parent / "decoded",
        )
        state, step = run.train(folder, hooks=hooks)
    trained = training.on_one_device(state).method()
    if method is not None:
        nnx.update(method, nnx.state(trained))
    return loaded.from_method(trained, run.metadata(), step)


def _open_config(given: Any) -> tuple[schema.Config, methods.Method | None]:
    """Returns a config that may be modified, and the method, if one was given."""
    if isinstance(given, methods.Method):
        return defaults.config_of_method(given), given
    if isinstance(given, str):
        return config_files.load_config(given), None
    if isinstance(given, ml_collections.ConfigDict):
        config = given.copy_and_resolve_references()
        config.unlock()
        return config, None
    what = "the class" if inspect.isclass(given) else "an object of"
    name = given.__name__ if inspect.isclass(given) else type(given).__name__
    raise errors.UserError(
        f"fit trains a method or a config; got {what} {name}. Expected an object of a "
        "class derived from methods.Method such as methods.SimCLR(encoder, ...), a "
        'ConfigDict, or the name of a recipe such as "mnist:smoke".'
    )


MADE = ("method", "encoder", "augmentation", "compute_dtype")
"""Fields of the config that have no effect if a method is given."""


def _check_hooks(hooks: Sequence[Any]) -> None:
    for hook in hooks:
        if not callable(hook):
            raise errors.UserError(
                "hooks must be functions of (step, state, metrics), or a dict as "
                f"config.hooks; got {hook!r}."
            )


def _apply(
    config: schema.Config, fields: Mapping[str, Any], *, made: Sequence[str]
) -> None:
    """Sets fields; a dict without the key ``name`` changes single fields of a part."""
    for name, value in fields.items():
        if name in made:
            raise errors.UserError(
                f"{name} has no effect on a method that exists already; set it in the "
                "method or its encoder, or call fit with a config."
            )
        if name not in config:
            raise errors.UserError(
                schema.moved(name)
                or registry.unknown_name("argument of fit", name, config.keys())
            )
        is_part = isinstance(config[name], ml_collections.ConfigDict)
        if is_part != isinstance(value, Mapping):
            expected = "a dict of fields" if is_part else "no dict"
            raise errors.UserError(
                f"{name} must be {expected}, as config.{name} is; got {value!r}."
            )
        if not is_part or "name" in value:
            _set(config, name, ml_collections.ConfigDict(value) if is_part else value)
            continue
        for field, inner in value.items():
            if name not in overrides.OPEN_PARTS and field not in config[name]:
                raise errors.UserError(
                    registry.unknown_name(f"field of {name}", field, config[name])
                )
            _set(config[name], field, inner)


def _set(part: schema.Config, field: str, value: Any) -> None:
    try:
        part[field] = value
    except TypeError as error:
        raise errors.UserError(
            f"{field} must be {type(part[field]).__name__}; got {value!r}."
        ) from error


def _as_images(source: Any, config: schema.Config) -> data.Dataset:
    """Returns the decoded images of an array or of an open source."""
    if isinstance(source, np.ndarray):
        if source.ndim != 4 or source.dtype != np.uint8:
            raise errors.UserError(
                "source must be uint8 images [n h w c] in [0, 255]; got "
                f"{source.dtype.name} of shape {source.shape}."
            )
        labels = np.full(len(source), -1, np.int32)
        digest = hashlib.sha256(np.ascontiguousarray(source).data).hexdigest()[:12]
        return data.ArraySource(
            name=f"array {digest}",
            images=source,
            labels=labels,
            num_classes=None,
        )
    if hasattr(source, "read"):
        return source
    if not isinstance(source, data.Source):
        raise errors.UserError(
            'source must be a name such as "folder:PATH", uint8 images [n h w c], or '
            f"an open source; got {type(source).__name__}."
        )
    return parts.decode(config, source)
