"""Topologies: TPU devices for which programs are compiled without being attached."""

import dataclasses
import importlib.util
import math
import os
import re
from typing import final

import jax
from jax.sharding import Mesh

from simclr_jax.aot import chips
from simclr_jax.core import errors, registry, sharding

_ENVIRONMENT = {
    # Do not query the metadata server of Google Cloud.
    "TPU_SKIP_MDS_QUERY": "1",
    # The lock of libtpu protects a chip; several processes may compile at a time.
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    # Without these, libtpu prints warnings on a machine without a TPU.
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
}


@final
@dataclasses.dataclass(frozen=True)
class Topology:
    """A grid of chips, which need not be attached.

    Attributes:
      name: the requested name, e.g. ``v5e:16x16``.
      chip: data sheet of the chips.
      shape: number of chips along each axis of the grid.
      mesh: mesh of all chips, with the axis ``data``.
    """

    name: str
    chip: chips.Chip
    shape: tuple[int, ...]
    mesh: Mesh

    @property
    def num_chips(self) -> int:
        """Number of chips."""
        return self.mesh.size

    @property
    def wraps(self) -> tuple[bool, ...]:
        """Whether each axis is a ring: its last chip has a link to its first."""
        multiple = self.chip.wrap_multiple
        fits = tuple(size % multiple == 0 for size in self.shape)
        return fits if self.chip.wraps_alone else (all(fits),) * len(fits)


def forget_devices() -> None:
    """Configures JAX to compile for TPUs without using any; call it before JAX starts.

    A TPU of this machine remains available to other processes.

    Example:
      >>> from simclr_jax import aot
      >>> aot.forget_devices()  # first statement of a script  # doctest: +SKIP
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    jax.config.update("jax_platforms", "cpu")


def describe(name: str) -> Topology:
    """Returns the topology of a given name.

    Args:
      name: ``CHIP:AxB`` or ``CHIP:AxBxC``, e.g. ``v5e:16x16``, where CHIP is a key of
        ``CHIPS``.

    Returns:
      The topology.

    Raises:
      UserError: if there is no such chip or grid, or if libtpu is not installed.

    Example:
      >>> from simclr_jax import aot
      >>> aot.describe("v5e:16x16").num_chips  # doctest: +SKIP
      256
    """
    family, separator, grid = name.partition(":")
    chip = registry.lookup("chip of a topology", family, chips.CHIPS)
    if not separator or not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", grid):
        raise _wrong(name, "the grid is not of the form AxB or AxBxC")
    shape = tuple(int(size) for size in grid.split("x"))
    if len(shape) != chip.num_axes:
        raise _wrong(name, f"a {family} has a grid of {chip.num_axes} axes")
    if math.prod(shape) > chip.largest_pod:
        raise _wrong(name, f"a pod of {family} has at most {chip.largest_pod:,} chips")
    return Topology(name, chip, shape, sharding.mesh_of(_devices(name, chip)))


def _devices(name: str, chip: chips.Chip) -> list:
    if importlib.util.find_spec("libtpu") is None:
        raise errors.UserError(
            "Compiling for a TPU needs the package libtpu (but no TPU). Run: "
            'pip install "simclr_jax[aot]"'
        )
    from jax.experimental import topologies

    try:
        return topologies.get_topology_desc(name, "tpu", **dict(chip.options)).devices
    except jax.errors.JaxRuntimeError as error:
        text = str(error).removeprefix("INVALID_ARGUMENT: ").splitlines()[0]
        raise _wrong(name, text) from error


def _wrong(name: str, reason: str) -> errors.UserError:
    examples = ", ".join(chip.example for chip in chips.CHIPS.values())
    return errors.UserError(
        f"There is no topology {name!r}: {reason}. Expected e.g. {examples}; smaller "
        "grids have even sides, e.g. v5e:2x4."
    )
