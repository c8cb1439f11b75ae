"""Devices of a run and the placement of arrays on them.

A mesh has one axis, ``data``, over which the rows of a batch are split.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from simclr_jax.core import checks, errors, types

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Execution:
    """Layout of a step over devices and micro-batches; a static argument of the step.

    Methods store nothing about hardware; they receive this object instead.

    Attributes:
      mesh: devices over whose axis ``data`` the batch is split; None: one device.
      accumulate: number of micro-batches that a batch is split into. Loss and gradient
        are those of the whole batch.
      loss_algorithm: how devices exchange embeddings for the loss, a key of
        ``losses.ALGORITHMS``.

    Example:
      >>> from simclr_jax.core import sharding
      >>> sharding.Execution(accumulate=4).loss_algorithm
      'auto'
    """

    mesh: jax.sharding.Mesh | None = None
    accumulate: int = 1
    loss_algorithm: str = "auto"

    def __post_init__(self):
        checks.check_positive_int("accumulate", self.accumulate)


def make_mesh(*, num_devices: int | None = None) -> Mesh:
    """Returns a mesh over the first ``num_devices`` devices.

    Args:
      num_devices: number of devices; None: all.

    Returns:
      A mesh with the axis ``data``, of type Auto: XLA chooses the shardings that the
      program does not specify.

    Raises:
      UserError: if there are fewer devices, or other processes would be left out.

    Example:
      >>> from simclr_jax.core import sharding
      >>> sharding.make_mesh(num_devices=1).shape
      OrderedDict([('data', 1)])
    """
    # In order of processes, so that the rows of each are contiguous.
    devices = sorted(jax.devices(), key=lambda one: (one.process_index, one.id))
    if num_devices is None:
        num_devices = len(devices)
    if not 1 <= num_devices <= len(devices):
        raise errors.UserError(
            f"num_devices must be between 1 and the {len(devices)} devices that JAX "
            f"sees; got {num_devices}."
        )
    if num_devices < len(devices) and jax.process_count() > 1:
        raise errors.UserError(
            f"num_devices must be all {len(devices)} devices, or not set, with several "
            f"processes; got {num_devices}. Start fewer processes."
        )
    return mesh_of(devices[:num_devices])


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """Returns a mesh over ``devices``, which need not be attached.

    Example:
      >>> import jax
      >>> from simclr_jax.core import sharding
      >>> sharding.mesh_of(jax.devices()[:1]).axis_names
      ('data',)
    """
    return Mesh(np.asarray(devices), (types.DATA_AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of parameters and keys: a copy on every device of ``mesh``.

    Example:
      >>> from simclr_jax.core import sharding
      >>> sharding.replicated(sharding.make_mesh(num_devices=1)).spec
      P()
    """
    return NamedSharding(mesh, PartitionSpec())


def place(arrays: T, mesh: Mesh) -> T:
    """Copies arrays to every device of a mesh.

    Args:
      arrays: a tree of arrays (NumPy, JAX, keys), the same in all processes.
      mesh: the devices.

    Returns:
      The tree, with the sharding ``replicated``.

    Example:
      >>> import numpy as np
      >>> from simclr_jax.core import sharding
      >>> sharding.place({"w": np.ones(2)}, sharding.make_mesh(num_devices=1))
      {'w': Array([1., 1.], dtype=float32)}
    """
    if jax.process_count() == 1:
        return jax.device_put(arrays, replicated(mesh))
    return jax.jit(lambda tree: tree, out_shardings=replicated(mesh))(arrays)


def split(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of a batch: each device of ``mesh`` holds part of the rows.

    Example:
      >>> from simclr_jax.core import sharding
      >>> sharding.split(sharding.make_mesh(num_devices=1)).spec
      P('data',)
    """
    return NamedSharding(mesh, PartitionSpec(types.DATA_AXIS))


def keep_replicated(tree: T, mesh: Mesh | None) -> T:
    """Constrains arrays inside ``jax.jit`` to be replicated.

    Args:
      tree: arrays of any shape.
      mesh: devices that each keep a copy; None: no constraint.

    Returns:
      ``tree`` with the constraint.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax.core import sharding
      >>> sharding.keep_replicated(jnp.ones(2), None)
      Array([1., 1.], dtype=float32)
    """
    return (
        tree
        if mesh is None
        else jax.lax.with_sharding_constraint(tree, replicated(mesh))
    )


def keep_split(tree: T, mesh: Mesh | None) -> T:
    """Constrains the first axis of arrays inside ``jax.jit`` to be split.

    Args:
      tree: arrays [b ...].
      mesh: devices that each keep a part of the rows; None: no constraint.

    Returns:
      ``tree`` with the constraint.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax.core import sharding
      >>> sharding.keep_split(jnp.ones(2), None)
      Array([1., 1.], dtype=float32)
    """
    return tree if mesh is None else jax.lax.with_sharding_constraint(tree, split(mesh))


def check_batch_size(batch_size: int, mesh: Mesh, *, accumulate: int = 1) -> None:
    """Raises unless every device gets the same number of images, at least one.

    Args:
      batch_size: images in a global batch.
      mesh: the devices.
      accumulate: micro-batches in a batch, each of which is split over the devices.

    Raises:
      UserError: if the batch cannot be split evenly; names the nearest that can.

    Example:
      >>> from simclr_jax.core import sharding
      >>> sharding.check_batch_size(64, sharding.make_mesh(num_devices=1), accumulate=4)
    """
    num_devices = mesh.shape[types.DATA_AXIS]
    parts = num_devices * accumulate
    lower = batch_size // parts * parts
    near = " or ".join(str(n) for n in (lower, lower + parts) if n)
    reason = f"There are {num_devices} devices; use {near}, or fewer devices."
    if accumulate > 1:
        reason = (
            f"There are {num_devices} devices and {accumulate} micro-batches "
            f"(accumulate); use {near}, or fewer of either."
        )
    checks.check_divisible("batch_size", batch_size, by=parts, remedy=reason)
