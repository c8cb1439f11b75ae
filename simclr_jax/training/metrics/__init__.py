"""Metrics of a run: writers, progress display, and goodput."""

from simclr_jax.training.metrics.goodput import Goodput
from simclr_jax.training.metrics.progress import Progress
from simclr_jax.training.metrics.writers import JsonLinesWriter, TensorBoardWriter

__all__ = ["Goodput", "JsonLinesWriter", "Progress", "TensorBoardWriter"]
