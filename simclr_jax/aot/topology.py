"""Devices that are described and not there: what a program is compiled for."""

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
    # No question to the server that tells a machine in Google's cloud what it is.
    "TPU_SKIP_MDS_QUERY": "1",
    # The lock is for those who run on a chip; two may compile at a time.
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    # What the library would otherwise complain of, on stderr, where there is no TPU.
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
}


@final
@dataclasses.dataclass(frozen=True)
class Topology:
    """Chips in a grid, none of which needs to exist.

    Attributes:
      name: as it was asked for, e.g. ``v5e:16x16``.
      chip: the data sheet of one of them.
      shape: chips along each axis of the grid.
      mesh: all of them, with the one axis that a run has.
    """

    name: str
    chip: chips.Chip
    shape: tuple[int, ...]
    mesh: Mesh

    @property
    def num_chips(self) -> int:
        """How many there are."""
        return self.mesh.size

    @property
    def wraps(self) -> tuple[bool, ...]:
        """Of each axis, whether its last chip has a link to its first."""
        multiple = self.chip.wrap_multiple
        fits = tuple(size % multiple == 0 for size in self.shape)
        return fits if self.chip.wraps_alone else (all(fits),) * len(fits)


def forget_devices() -> None:
    """Lets this process compile for a TPU and use none; before any device is asked for.

    A TPU of this machine stays free for others.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    jax.config.update("jax_platforms", "cpu")


def describe(name: str) -> Topology:
    """Returns the devices of a topology.

    Args:
      name: ``CHIP:AxB`` or ``CHIP:AxBxC``, e.g. ``v5e:16x16``; the names of the chips
        are those of ``chips.CHIPS``.

    Returns:
      The topology.

    Raises:
      UserError: if there is no such chip or grid, or if libtpu is not installed.
    """
    family, separator, grid = name.partition(":")
    chip = registry.lookup("chip of a topology", family, chips.CHIPS)
    if not separator or not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", grid):
        raise _wrong(name, "the grid is not of the form AxB or AxBxC")
    shape = tuple(int(size) for size in grid.split("x"))
    if len(shape) != chip.num_axes:
        raise _wrong(name, f"a {family} has a grid of {chip.num_axes} axes")
    if math.prod(shape) > chip.largest_pod:
        raise _wrong(name, f"a pod of {family} has {chip.largest_pod:,} chips at most")
    return Topology(name, chip, shape, sharding.mesh_of(_devices(name, chip)))


def _devices(name: str, chip: chips.Chip) -> list:
    if importlib.util.find_spec("libtpu") is None:
        raise errors.UserError(
            "Compiling for a TPU needs libtpu, the compiler, which runs without a TPU: "
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
