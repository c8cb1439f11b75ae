"""The devices of a run: one axis, ``data``, over which batches are split."""

from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from simclr_jax.core import checks, errors

AXIS = "data"


def make_mesh(*, num_devices: int | None = None) -> Mesh:
    """Returns a mesh over the first devices.

    Args:
      num_devices: how many; None: all of them.

    Returns:
      A mesh with the axis ``data``, of type Auto: XLA decides what is split where the
      program does not say.

    Raises:
      UserError: if there are fewer devices.
    """
    devices = jax.devices()
    if num_devices is None:
        num_devices = len(devices)
    if not 1 <= num_devices <= len(devices):
        raise errors.UserError(
            f"num_devices must be between 1 and the {len(devices)} devices that JAX "
            f"sees; got {num_devices}."
        )
    return mesh_of(devices[:num_devices])


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """Returns a mesh as ``make_mesh`` does, over devices that need not be attached."""
    return jax.make_mesh(
        (len(devices),),
        (AXIS,),
        axis_types=(AxisType.Auto,),
        devices=devices,
    )


def replicated(mesh: Mesh) -> NamedSharding:
    """The placement of parameters and keys: a copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """The placement of a batch: every device has its part of the rows."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def check_batch_size(batch_size: int, mesh: Mesh) -> None:
    """Raises unless every device gets the same number of images, at least one.

    Args:
      batch_size: images in a global batch.
      mesh: the devices.

    Raises:
      UserError: if the batch cannot be split evenly; names the nearest that can.
    """
    num_devices = mesh.shape[AXIS]
    lower = batch_size // num_devices * num_devices
    near = " or ".join(str(n) for n in (lower, lower + num_devices) if n)
    checks.check_divisible(
        "batch_size",
        batch_size,
        by=num_devices,
        remedy=f"There are {num_devices} devices; use {near}, or fewer devices.",
    )
