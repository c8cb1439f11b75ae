"""Ahead-of-time compilation of the training step for TPUs, and its predicted speed.

Nothing here runs on a device, and nothing is measured: the predictions follow from the
compiled program and from the data sheet of the chip.
"""

from simclr_jax.aot.chips import CHIPS, Chip
from simclr_jax.aot.collectives import Collective, find_collectives
from simclr_jax.aot.compilation import Compiled, TooLarge, compile_step
from simclr_jax.aot.hlo import Module, parse
from simclr_jax.aot.report import NOTE, Outcome, details, table
from simclr_jax.aot.roofline import Prediction, predict
from simclr_jax.aot.topology import Topology, describe, forget_devices

__all__ = [
    "CHIPS",
    "NOTE",
    "Chip",
    "Collective",
    "Compiled",
    "Module",
    "Outcome",
    "Prediction",
    "TooLarge",
    "Topology",
    "compile_step",
    "describe",
    "details",
    "find_collectives",
    "forget_devices",
    "parse",
    "predict",
    "table",
]
