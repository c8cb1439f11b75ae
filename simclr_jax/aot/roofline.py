"""How fast a compiled step can be at best, from what it does and what a chip can do.

Three times that a step cannot beat: that of its arithmetic at the chip's peak, that of
its traffic with the large memory, and that of its messages. Were they to overlap in
full, the longest would be the time of the step; if not at all, their sum.

Messages, with V the bytes of the whole array, N chips and W the bandwidth of all links
of a chip that lead somewhere, in one direction (Austin et al., "How to Scale Your
Model", 2025, https://jax-ml.github.io/scaling-book/sharding):

  all-gather, reduce-scatter:  max(V (N - 1) / (N W), one hop x half of every ring)
  all-reduce:                  twice that
  any other (there is none):   as an all-gather

An axis that does not wrap has one link a chip in place of two, and its whole length to
go in place of half.
"""

import dataclasses
from typing import final

from simclr_jax.aot import chips, collectives, compilation, topology, work


@final
@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a step does on one chip, and the least time that it can take.

    Attributes:
      compiled: what the compiler says.
      topology: the chips.
      batch_size: images in a global batch.
      flops: of one step on one chip, loops as often as they turn.
      hbm_bytes: between the large memory and the chip, loops as often as they turn.
      messages: between the chips.
      compute_seconds: of the arithmetic.
      memory_seconds: of the traffic with the large memory.
      interconnect_seconds: of the messages.
    """

    compiled: compilation.Compiled
    topology: topology.Topology
    batch_size: int
    flops: float
    hbm_bytes: int
    messages: tuple[collectives.Collective, ...]
    compute_seconds: float
    memory_seconds: float
    interconnect_seconds: float

    @property
    def seconds(self) -> dict[str, float]:
        """The three times by name."""
        return {
            "compute": self.compute_seconds,
            "memory": self.memory_seconds,
            "interconnect": self.interconnect_seconds,
        }

    @property
    def binding(self) -> str:
        """Which of the three is longest."""
        return max(self.seconds, key=self.seconds.__getitem__)

    @property
    def images_per_second(self) -> float:
        """Of all chips, if the three overlap in full: an upper bound."""
        return self.batch_size / max(self.seconds.values())

    @property
    def images_per_second_in_turn(self) -> float:
        """Of all chips, if nothing overlaps; no bound, a real step may be slower."""
        return self.batch_size / sum(self.seconds.values())

    @property
    def utilization(self) -> float:
        """The MFU at ``images_per_second``: part of the peak that is used."""
        return self.compute_seconds / max(self.seconds.values())


def predict(
    compiled: compilation.Compiled, where: topology.Topology, *, batch_size: int
) -> Prediction:
    """Finds the least time of a compiled step.

    Args:
      compiled: from ``compile_step``.
      where: the topology that it was compiled for.
      batch_size: images in a global batch.

    Returns:
      The prediction.
    """
    once, run = work.matrix_flops(compiled.module)
    flops = compiled.flops + run - once
    hbm_bytes = work.hbm_bytes(compiled.module)
    messages = collectives.find_collectives(compiled.module, num_chips=where.num_chips)
    return Prediction(
        compiled=compiled,
        topology=where,
        batch_size=batch_size,
        flops=flops,
        hbm_bytes=hbm_bytes,
        messages=tuple(messages),
        compute_seconds=flops / where.chip.peak_flops,
        memory_seconds=hbm_bytes / where.chip.hbm_bandwidth,
        interconnect_seconds=sum(message_seconds(one, where) for one in messages),
    )


def message_seconds(message: collectives.Collective, where: topology.Topology) -> float:
    """Returns the least time of the messages of one kind and place.

    Args:
      message: the messages.
      where: the chips that send them.

    Returns:
      Seconds of all of them together, one after the other.
    """
    num_chips = message.group_size
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
    transfer = message.num_bytes * part / (links * where.chip.link_bandwidth)
    seconds = max(transfer, message.count * hops * chips.HOP_SECONDS)
    return 2 * seconds if message.kind == "all-reduce" else seconds
