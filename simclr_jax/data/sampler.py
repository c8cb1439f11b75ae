"""Batch order: the images of batch t as a function of (seed, t) only.

Does not import JAX.
"""

import dataclasses
import functools
from typing import final

import numpy as np

from simclr_jax.core import errors


@final
@dataclasses.dataclass(frozen=True)
class BatchOrder:
    """The image indices of every batch, as a sequence that grain reads by index.

    Each epoch is a new permutation. The last ``num_images % batch_size`` images of an
    epoch are dropped, so that no batch contains an image twice: two copies of an image
    would be negatives of each other.

    Attributes:
      num_images: images in the data set.
      batch_size: images in a global batch.
      num_steps: batches in the run.
      seed: seed of the permutations.

    Raises:
      UserError: if ``batch_size`` exceeds ``num_images``.

    Example:
      >>> from simclr_jax import data
      >>> order = data.BatchOrder(num_images=10, batch_size=4, num_steps=5, seed=0)
      >>> order.steps_per_epoch, order[3].shape
      (2, (4,))
    """

    num_images: int
    batch_size: int
    num_steps: int
    seed: int

    def __post_init__(self):
        if self.batch_size > self.num_images:
            raise errors.UserError(
                f"batch_size must not exceed the {self.num_images} images of the data "
                f"set; got {self.batch_size}."
            )

    @property
    def steps_per_epoch(self) -> int:
        """Number of complete batches in an epoch."""
        return self.num_images // self.batch_size

    def __len__(self) -> int:
        return self.num_steps

    def __getitem__(self, step: int) -> np.ndarray:
        """Returns the image indices of batch ``step`` (from 0), int32 [batch_size]."""
        epoch, position = divmod(int(step), self.steps_per_epoch)
        start = position * self.batch_size
        order = _permutation(self.num_images, self.seed, epoch)
        return order[start : start + self.batch_size]


@final
@dataclasses.dataclass(frozen=True)
class ProcessRows:
    """The contiguous rows of every global batch that one process reads.

    Attributes:
      order: the global batches.
      process: index of the process, from 0.
      num_processes: number of processes; must divide the batch size.
    """

    order: BatchOrder
    process: int
    num_processes: int

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, step: int) -> np.ndarray:
        """Returns the image indices of this process in batch ``step``, int32."""
        numbers = self.order[step]
        per_process = len(numbers) // self.num_processes
        start = self.process * per_process
        return numbers[start : start + per_process]


@functools.lru_cache(maxsize=2)
def _permutation(num_images: int, seed: int, epoch: int) -> np.ndarray:
    generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    return generator.permutation(num_images).astype(np.int32)
