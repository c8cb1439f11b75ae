"""Which images are in batch t: a function of (seed, t) alone. No jax here."""

import dataclasses
import functools

import numpy as np

from simclr_jax.core import errors


@dataclasses.dataclass(frozen=True)
class BatchOrder:
    """The images of every batch, as a sequence that grain reads by index.

    Each epoch is a fresh permutation. The ``num_images % batch_size`` images at its end
    are left out, so that no batch holds one image twice: the second copy would be
    its own negative.

    Attributes:
      num_images: images in the set.
      batch_size: images in a global batch.
      num_steps: batches in the run.
      seed: decides every permutation.
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
        """Whole batches in an epoch."""
        return self.num_images // self.batch_size

    def __len__(self) -> int:
        return self.num_steps

    def __getitem__(self, step: int) -> np.ndarray:
        """Returns the image numbers of batch ``step`` (from 0), int32 [batch_size]."""
        epoch, position = divmod(int(step), self.steps_per_epoch)
        start = position * self.batch_size
        order = _permutation(self.num_images, self.seed, epoch)
        return order[start : start + self.batch_size]


@dataclasses.dataclass(frozen=True)
class ProcessRows:
    """The contiguous part of every global batch that one process reads.

    Attributes:
      order: the global batches.
      process: number of the process, from 0.
      num_processes: processes in the run; must divide the batch.
    """

    order: BatchOrder
    process: int
    num_processes: int

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, step: int) -> np.ndarray:
        """Returns the image numbers of this process in batch ``step``, int32."""
        numbers = self.order[step]
        per_process = len(numbers) // self.num_processes
        start = self.process * per_process
        return numbers[start : start + per_process]


@functools.lru_cache(maxsize=2)
def _permutation(num_images: int, seed: int, epoch: int) -> np.ndarray:
    generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    return generator.permutation(num_images).astype(np.int32)
