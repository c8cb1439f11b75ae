"""Keeps count of the images that could not be read, and names each once in the log."""

import logging

import numpy as np

from simclr_jax.data import decoded

_log = logging.getLogger("simclr_jax")


class BadImages:
    """What a run knows of its bad images."""

    def __init__(self, images: decoded.Decoded):
        """Starts with none.

        Args:
          images: the records, for their titles.
        """
        self._images = images
        self._named: set[int] = set()
        self._count = 0

    def note(self, asked: np.ndarray, shown: np.ndarray, reasons: list[str]) -> None:
        """Counts the images that others stand in for, and names the new ones.

        Args:
          asked: numbers of the records of a batch, shape [b].
          shown: numbers of the records that stand there, shape [b].
          reasons: why, for each place where the two differ; empty where the images were
            named when they were decoded.
        """
        rows = np.flatnonzero(asked != shown)
        self._count += len(rows)
        for row, reason in zip(rows, reasons, strict=False):
            index = int(asked[row])
            if index not in self._named:
                self._named.add(index)
                _log.warning(
                    "Bad image %s: %s. %s takes its place.",
                    self._images.title_of(index),
                    reason,
                    self._images.title_of(int(shown[row])),
                )

    def take_count(self) -> int:
        """Returns how many places were taken since the last call."""
        count, self._count = self._count, 0
        return count
