"""Data sheets of the TPU chips for which programs can be compiled.

All numbers are published by Google, at ``Chip.source`` unless a comment says otherwise.
``link_bandwidth`` is that of one link in one direction. Google gives the sum over all
links of a chip in both directions, so

  link bandwidth = (bidirectional bandwidth per chip) / (ports per chip) / 2.

For the v4, none is given there: 6 links of 50 GB/s are from table 4 of Jouppi et al.
2023, https://arxiv.org/abs/2304.01433.
"""

import dataclasses
from typing import final


@final
@dataclasses.dataclass(frozen=True)
class Chip:
    """Peak performance of a chip, and the shapes of its pods.

    Attributes:
      name: name in topologies, e.g. ``v5e``.
      peak_flops: FLOP/s of bfloat16 matrix products.
      hbm_bytes: memory capacity; slightly less is available to a program.
      hbm_bandwidth: memory bandwidth, bytes/s.
      link_bandwidth: bandwidth of one link to a neighbor in one direction, bytes/s.
      num_axes: number of axes of the grid of chips, 2 or 3.
      largest_pod: number of chips in the largest grid.
      wrap_multiple: an axis whose length is a multiple of this is a ring: its last chip
        has a link to its first.
      wraps_alone: True: each axis by itself; False: only if this holds for all axes.
      example: an example of a topology.
      source: address of the data sheet.
      options: further arguments for libtpu.
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
            # Its two cores appear as one device, as in a run.
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
"""Latency of a transfer between neighboring chips. Austin et al., "How to Scale Your
Model", 2025, https://jax-ml.github.io/scaling-book/sharding"""
