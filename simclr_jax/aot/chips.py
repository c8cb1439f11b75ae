"""The data sheets of the chips that a program can be compiled for.

Every number is one that Google publishes, on the page named by ``Chip.source`` unless
said otherwise beside it. The bandwidth of a link is that in one direction; the pages
give the sum over the links of a chip, in both directions:

  one way of one link = (bidirectional bandwidth per chip) / (ports per chip) / 2

except for the v4, whose page has none: 6 links of 50 GB/s are from table 4 of Jouppi et
al. 2023, https://arxiv.org/abs/2304.01433.
"""

import dataclasses
from typing import final


@final
@dataclasses.dataclass(frozen=True)
class Chip:
    """What a chip can do at best.

    Attributes:
      name: as in the name of a topology, e.g. ``v5e``.
      peak_flops: bfloat16 matrix products, FLOP/s.
      hbm_bytes: memory on the data sheet; a program gets a little less.
      hbm_bandwidth: bytes/s between that memory and the chip.
      link_bandwidth: bytes/s in one direction of one link to a neighbor.
      num_axes: axes of the grid of chips: 2 or 3.
      largest_pod: chips in the largest grid that is built.
      wrap_multiple: an axis of so many chips, or of a multiple, ends where it starts
        (``wraps_alone``: whatever the others; else if all axes are such).
      wraps_alone: see ``wrap_multiple``.
      example: the name of a topology of it.
      options: what libtpu wants to hear beside the name.
      source: the page.
    """

    name: str
    peak_flops: float
    hbm_bytes: int
    hbm_bandwidth: float
    link_bandwidth: float
    num_axes: int
    largest_pod: int
    wrap_multiple: int
    wraps_alone: bool
    example: str
    source: str
    options: tuple[tuple[str, str], ...] = ()


CHIPS = {
    chip.name: chip
    for chip in (
        Chip(
            name="v4",
            peak_flops=275e12,
            hbm_bytes=32 * 2**30,
            hbm_bandwidth=1200e9,
            link_bandwidth=50e9,
            num_axes=3,
            largest_pod=4096,
            wrap_multiple=4,
            wraps_alone=False,
            example="v4:4x4x4",
            source="https://cloud.google.com/tpu/docs/v4",
            # Its two cores as one device, as a run sees them.
            options=(("chip_config_name", "megacore"),),
        ),
        Chip(
            name="v5e",
            peak_flops=197e12,
            hbm_bytes=16 * 2**30,
            hbm_bandwidth=819e9,
            link_bandwidth=50e9,  # 400 GB/s, 4 ports
            num_axes=2,
            largest_pod=256,
            wrap_multiple=16,
            wraps_alone=True,
            example="v5e:16x16",
            source="https://cloud.google.com/tpu/docs/v5e",
        ),
        Chip(
            name="v5p",
            peak_flops=459e12,
            hbm_bytes=95 * 2**30,
            hbm_bandwidth=2765e9,
            link_bandwidth=100e9,  # 1,200 GB/s, 6 neighbors
            num_axes=3,
            largest_pod=8960,
            wrap_multiple=4,
            wraps_alone=False,
            example="v5p:4x4x4",
            source="https://cloud.google.com/tpu/docs/v5p",
        ),
        Chip(
            name="v6e",
            peak_flops=918e12,
            hbm_bytes=32 * 2**30,
            hbm_bandwidth=1638e9,
            link_bandwidth=100e9,  # 800 GB/s, 4 ports
            num_axes=2,
            largest_pod=256,
            wrap_multiple=16,
            wraps_alone=True,
            example="v6e:16x16",
            source="https://cloud.google.com/tpu/docs/v6e",
        ),
    )
}
"""The chips by name."""

HOP_SECONDS = 1e-6
"""What a message takes from a chip to its neighbor, however short it is. Austin et al.,
"How to Scale Your Model", 2025, https://jax-ml.github.io/scaling-book/sharding"""
