"""Abstract arguments of the training step of a config: shapes instead of arrays."""

import functools
from typing import Any

import jax

from simclr_jax import data, training
from simclr_jax.assembly import optimization, parts
from simclr_jax.assembly.config import schema
from simclr_jax.core import errors, sharding
from simclr_jax.training import state as state_lib

NUM_CLASSES = 1000
"""Number of classes for methods that use labels, since no data set is opened."""


def abstract_arguments(
    config: schema.Config,
    *,
    mesh: jax.sharding.Mesh,
    num_images: int,
    image_shape: tuple[int, int, int] | None = None,
) -> tuple[Any, ...]:
    """Returns the arguments of ``training.train_step`` as shapes with shardings.

    No arrays are created and no data set is opened, so the devices need not be
    attached.

    Args:
      config: a config.
      mesh: the devices.
      num_images: number of images in the data set; determines the length of the run.
      image_shape: (h, w, c) of images that all have the same size; None: images of many
        sizes, padded to ``config.data.canvas``.

    Returns:
      The structure of (method, optimizer), the execution, their arrays, a batch and a
      key.

    Raises:
      UserError: if the config is invalid, or if its batch cannot be divided evenly.

    Example:
      >>> from simclr_jax import assembly, training
      >>> config = assembly.load_config("mnist:smoke")
      >>> mesh = training.make_mesh(num_devices=1)
      >>> arguments = assembly.abstract_arguments(
      ...     config, mesh=mesh, num_images=60_000, image_shape=(28, 28, 1)
      ... )
      >>> arguments[3]["image"].shape
      (16, 28, 28, 1)
    """
    schema.check(config)
    if config.num_steps is None and num_images < config.batch_size:
        raise errors.UserError(
            f"num_images must be at least the batch_size, {config.batch_size}; got "
            f"{num_images}."
        )
    options = config.execution
    training.check_batch_size(config.batch_size, mesh, accumulate=options.accumulate)
    execution = sharding.Execution(mesh, options.accumulate, options.loss_algorithm)
    canvas = config.data.canvas
    if canvas is None:
        canvas = parts.default_canvas(config)
    shape = image_shape or (canvas, canvas, config.data.num_channels)
    length = optimization.compute_length(config, num_images=num_images)
    schedule, peak = optimization.build_schedule(config, length)
    state = state_lib.abstract_state(
        lambda: parts.build_method(
            config,
            image_shape=shape,
            length=length,
            num_images=num_images,
            num_classes=NUM_CLASSES,
        ),
        lambda params: optimization.build_optimizer(config, schedule, peak, params),
        mesh=mesh,
    )
    everywhere, rows = sharding.replicated(mesh), sharding.split(mesh)
    spec = data.batch_spec(
        parts.method_inputs(config), image_shape=shape, is_padded=image_shape is None
    )
    part = functools.partial(jax.ShapeDtypeStruct, sharding=rows)
    batch = jax.tree.map(
        lambda field: part((config.batch_size, *field.shape), field.dtype),
        spec,
        is_leaf=lambda leaf: isinstance(leaf, data.Field),
    )
    key = jax.eval_shape(lambda: parts.root_key(config))
    key = jax.ShapeDtypeStruct(key.shape, key.dtype, sharding=everywhere)
    return state.graphdef, execution, state.arrays, batch, key
