"""From a config to what its training step takes: shapes, in place of arrays."""

import functools
from typing import Any

import jax

from simclr_jax import data, training
from simclr_jax.assembly import parts
from simclr_jax.assembly.config import schema
from simclr_jax.core import errors, sharding

NUM_CLASSES = 1000
"""Classes that a method with labels is told of, where no data set is opened."""


def abstract_arguments(
    config: schema.Config,
    *,
    mesh: jax.sharding.Mesh,
    num_images: int,
    image_shape: tuple[int, int, int] | None = None,
) -> tuple[Any, ...]:
    """Returns the arguments of ``training.train_step`` as shapes with shardings.

    No array is made and no data set is opened, so the devices need not be attached.

    Args:
      config: a recipe.
      mesh: the devices.
      num_images: images in the set; decides the length of the schedule.
      image_shape: (h, w, c) of images that all have one size; None: images of many
        sizes, on the canvas of the config.

    Returns:
      The structure of (method, optimizer), the execution, their arrays, a batch and a
      key.

    Raises:
      UserError: if the config makes no sense, or its batch does not divide.
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
    length = parts.compute_length(config, num_images=num_images)
    schedule, peak = parts.build_schedule(config, length)
    state = training.abstract_state(
        lambda: parts.build_method(
            config,
            image_shape=shape,
            length=length,
            num_images=num_images,
            num_classes=NUM_CLASSES,
        ),
        lambda params: parts.build_optimizer(config, schedule, peak, params),
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
