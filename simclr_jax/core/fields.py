"""Shape and type of one field of a batch. Does not import jax: input workers use it."""

import dataclasses

import numpy as np
from numpy.typing import DTypeLike


@dataclasses.dataclass(frozen=True)
class Field:
    """Describes one field of a record: ``label`` is ``Field((), "int32")``.

    A batch holds an array of shape ``[b, *shape]`` for each of its fields.

    Attributes:
      shape: the shape for one record, without the axis ``b`` of the batch.
      dtype: the type of the values; anything that ``np.dtype`` takes.

    Example:
      >>> from simclr_jax.core import fields
      >>> fields.Field((), "int32").shape
      ()
    """

    shape: tuple[int, ...]
    dtype: DTypeLike

    def __post_init__(self):
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        object.__setattr__(self, "dtype", np.dtype(self.dtype))
