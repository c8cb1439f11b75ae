"""Roofline model: a lower bound of the time of a compiled step.

The bound is the maximum of three times: arithmetic at the peak of the chip, HBM traffic
at its bandwidth, and collectives at the bandwidth of the links. The maximum assumes
that the three overlap completely; without any overlap, the time is their sum.

Time of a collective, with V the bytes of the whole array, N chips, and W the bandwidth
of the connected links of a chip in one direction (Austin et al., "How to Scale Your
Model", 2025, https://jax-ml.github.io/scaling-book/sharding):

  all-gather, reduce-scatter:  max(V (N - 1) / (N W), hop latency x half of every ring)
  all-reduce:                  twice that
  others (not used):           as an all-gather

On an axis that is not a ring, a chip has one link instead of two, and the distance is
the whole axis instead of half.
"""

import dataclasses
from typing import final

from simclr_jax.aot import chips, collectives, compilation, topology, work


@final
@dataclasses.dataclass(frozen=True)
class Prediction:
    """Work of one chip in a step, and lower bounds of its time.

    Attributes:
      compiled: the compiled step.
      topology: the chips.
      batch_size: number of images in a global batch.
      flops: FLOPs of one step on one chip, all loop iterations counted.
      hbm_bytes: HBM traffic of one step on one chip, all loop iterations counted.
      collectives: collectives between the chips.
      compute_seconds: time of the arithmetic.
      memory_seconds: time of the HBM traffic.
      interconnect_seconds: time of the collectives.
    """

    compiled: compilation.Compiled
    topology: topology.Topology
    batch_size: int
    flops: float
    hbm_bytes: int
    collectives: tuple[collectives.Collective, ...]
    compute_seconds: float
    memory_seconds: float
    interconnect_seconds: float

    @property
    def seconds(self) -> dict[str, float]:
        """The three times by name, in seconds."""
        return {
            "compute": self.compute_seconds,
            "memory": self.memory_seconds,
            "interconnect": self.interconnect_seconds,
        }

    @property
    def binding(self) -> str:
        """Name of the longest of the three times."""
        return max(self.seconds, key=self.seconds.__getitem__)

    @property
    def images_per_second(self) -> float:
        """Upper bound of the images/s of all chips, with complete overlap."""
        return self.batch_size / max(self.seconds.values())

    @property
    def images_per_second_in_turn(self) -> float:
        """Images/s of all chips without overlap; a real step may be slower."""
        return self.batch_size / sum(self.seconds.values())

    @property
    def utilization(self) -> float:
        """Fraction of the peak FLOP/s (MFU) used at ``images_per_second``."""
        return self.compute_seconds / max(self.seconds.values())


def predict(
    compiled: compilation.Compiled, where: topology.Topology, *, batch_size: int
) -> Prediction:
    """Computes lower bounds of the time of a compiled step.

    Args:
      compiled: the compiled step, from ``compile_step``.
      where: the topology for which it was compiled.
      batch_size: number of images in a global batch.

    Returns:
      The prediction.

    Example:
      >>> from simclr_jax import aot
      >>> where = aot.describe("v5e:2x4")  # doctest: +SKIP
      >>> compiled = aot.compile_step(*arguments)  # doctest: +SKIP
      >>> aot.predict(compiled, where, batch_size=256).binding  # doctest: +SKIP
      'memory'
    """
    once, run = work.matrix_flops(compiled.module)
    flops = compiled.flops + run - once
    hbm_bytes = work.hbm_bytes(compiled.module)
    found = collectives.find_collectives(compiled.module, num_chips=where.num_chips)
    return Prediction(
        compiled=compiled,
        topology=where,
        batch_size=batch_size,
        flops=flops,
        hbm_bytes=hbm_bytes,
        collectives=tuple(found),
        compute_seconds=flops / where.chip.peak_flops,
        memory_seconds=hbm_bytes / where.chip.hbm_bandwidth,
        interconnect_seconds=sum(collective_seconds(one, where) for one in found),
    )


def collective_seconds(
    collective: collectives.Collective, where: topology.Topology
) -> float:
    """Computes a lower bound of the time of the collectives of one kind and origin.

    Args:
      collective: the collectives.
      where: the chips.

    Returns:
      Time of all of them in sequence, in seconds.
    """
    num_chips = collective.group_size
    if num_chips == 1:
        return 0.0
    links = sum(
        2 if wraps else 1
        for size, wraps in zip(where.shape, where.wraps, strict=True)
        if size > 1
    )
    hops = sum(
        size // 2 if wraps else size - 1
        for size, wraps in zip(where.shape, where.wraps, strict=True)
    )
    part = (num_chips - 1) / num_chips
    transfer = collective.num_bytes * part / (links * where.chip.link_bandwidth)
    seconds = max(transfer, collective.count * hops * chips.HOP_SECONDS)
    return 2 * seconds if collective.kind == "all-reduce" else seconds
