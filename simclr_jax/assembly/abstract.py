"""From a config to what its training step takes: shapes, in place of arrays."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from simclr_jax import training
from simclr_jax.assembly import parts
from simclr_jax.core import errors, types


def abstract_arguments(
    config: parts.Config,
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
      The structure of (method, optimizer), their arrays, a batch and a key.

    Raises:
      UserError: if the config makes no sense, or its batch does not divide.
    """
    parts.check(config)
    if config.num_steps is None and num_images < config.batch_size:
        raise errors.UserError(
            f"num_images must be at least the batch_size, {config.batch_size}; got "
            f"{num_images}."
        )
    training.check_batch_size(config.batch_size, mesh)
    canvas = parts.default_canvas(config)
    if config.data.canvas is not None:
        canvas = config.data.canvas
    shape = image_shape or (canvas, canvas, config.data.num_channels)
    length = parts.compute_length(config, num_images=num_images)
    schedule, _ = parts.build_schedule(config, length)
    state = training.abstract_state(
        lambda: parts.build_method(config, image_shape=shape, mesh=mesh),
        lambda params: parts.build_optimizer(config, schedule, params),
        mesh=mesh,
    )
    everywhere, rows = training.replicated(mesh), training.split(mesh)
    part = functools.partial(jax.ShapeDtypeStruct, sharding=rows)
    images: Any = part((config.batch_size, *shape), jnp.uint8)
    if image_shape is None:
        size: Any = part((config.batch_size, 2), jnp.int32)
        images = types.Canvas(images, size)
    key = jax.eval_shape(lambda: parts.root_key(config))
    key = jax.ShapeDtypeStruct(key.shape, key.dtype, sharding=everywhere)
    return state.graphdef, state.arrays, {"image": images}, key
