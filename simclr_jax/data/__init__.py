"""Images in: sources of records, the order of the batches, their way to the device.

Nothing here downloads, and nothing here needs TensorFlow. The modules that grain's
worker processes import (``sources``, ``tfds_source``, ``order``) do not import jax.
"""

from simclr_jax.data.opening import open_source
from simclr_jax.data.order import BatchOrder
from simclr_jax.data.placement import Batches
from simclr_jax.data.sources import ArraySource, Source, read_all

__all__ = ["ArraySource", "BatchOrder", "Batches", "Source", "open_source", "read_all"]
