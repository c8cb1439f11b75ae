"""Training from Python: ``fit`` takes a method or a config and some images."""

import contextlib
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
from flax import nnx

from simclr_jax import data, methods, training
from simclr_jax.assembly import defaults, loaded, parts, schema
from simclr_jax.assembly import run as runs
from simclr_jax.core import errors, paths


def fit(
    method_or_config: methods.Method | schema.Config,
    source: str | np.ndarray | data.Source | data.Decoded | None,
    *,
    workdir: str | os.PathLike[str],
    num_steps: int | None = None,
    batch_size: int | None = None,
    optimizer: str | Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    hooks: Sequence[training.Hook] = (),
    **fields: Any,
) -> loaded.LoadedEncoder:
    """Trains a method on images; continues by itself from its working directory.

    Works in a script and in a notebook alike. Asked to stop by Ctrl-C, it saves and
    returns what it has; the same call continues.

    Args:
      method_or_config: a method, whose arrays are replaced by the trained ones at the
        end; or a config as ``configs`` has them.
      source: images: a name such as ``"folder:PATH"`` (``data.open_source``), uint8
        images [n h w c], or an open source; None: what the config names.
      workdir: where checkpoints and ``metrics.jsonl`` go; made if missing.
      num_steps: updates in the run; None: what the config says.
      batch_size: images in a batch; None: what the config says.
      optimizer: a name, or the fields of ``config.optimizer``; None: Adam with a
        learning rate of 1e-3 for a method, else what the config says.
      evaluation: options of ``augment.evaluation``, what is done to an image before it
        is embedded; None: the size of the views, or what the config says.
      hooks: called after every step with ``(step, state, metrics)``; numbers that they
        return are written to ``metrics.jsonl``.
      **fields: other fields of the config, e.g. ``seed=1``, ``log_every_steps=10``.

    Returns:
      The trained encoder, as ``load(workdir)`` gives it.

    Raises:
      UserError: for what the caller can put right.
    """
    is_method = isinstance(method_or_config, methods.Method)
    config = (
        defaults.config_of_method(method_or_config)
        if is_method
        else method_or_config.copy_and_resolve_references()
    )
    _apply(config, fields)
    if num_steps is not None:
        config.num_steps = num_steps
    if batch_size is not None:
        config.batch_size = batch_size
    if optimizer is not None:
        given = {"name": optimizer} if isinstance(optimizer, str) else dict(optimizer)
        config.optimizer = ml_collections.ConfigDict(defaults.OPTIMIZER | given)
    if evaluation is not None:
        config.evaluation = ml_collections.ConfigDict(dict(evaluation))
    if isinstance(source, str):
        config.data.source = source
    schema.check(config, method=method_or_config if is_method else None)
    images = None
    if source is not None and not isinstance(source, str):
        images = _as_images(source, config)
    with contextlib.ExitStack() as stack:
        folder = training.open_workdir(paths.local_path(workdir, what="workdir"), stack)
        run = runs.assemble(
            config,
            images=images,
            method=method_or_config if is_method else None,
            cache_dir=folder.parent / "decoded",
        )
        state, step = run.train(folder, hooks=hooks)
    trained = state.method()
    if is_method:
        nnx.update(method_or_config, nnx.state(trained))
    return loaded.from_method(trained, run.metadata(), step)


def _apply(config: schema.Config, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if name not in config:
            raise errors.UserError(
                schema.moved(name)
                or f"fit has no argument {name!r}, and a config has no such field. "
                f"Fields: {', '.join(sorted(config.keys()))}."
            )
        config[name] = value


def _as_images(source: Any, config: schema.Config) -> data.Decoded:
    """Returns images in memory, or an open source, as a run reads them."""
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
    return parts.decode(config, source)
