"""Input pipeline: sources, decoding, batch order, and transfer to the devices.

``open_source`` opens a data set: image files or arrays by index. ``open_images``
decodes them to arrays of one shape, and ``Batches`` yields batches on the devices.
Nothing is downloaded, and TensorFlow is not needed. Only ``batches`` imports JAX, since
worker processes run the other modules.
"""

from simclr_jax.core.fields import Field
from simclr_jax.data.batches import Batches, batch_spec, to_devices
from simclr_jax.data.cache import num_decoded_bytes, read_all
from simclr_jax.data.dataset import Dataset, open_images
from simclr_jax.data.prefetch import default_num_workers, iterate_batches
from simclr_jax.data.record_fields import available_fields, class_names
from simclr_jax.data.sampler import BatchOrder
from simclr_jax.data.sources.base import ArraySource, Samples, Source
from simclr_jax.data.sources.opening import (
    SOURCES,
    absolute_data_dir,
    absolute_spec,
    open_source,
)
from simclr_jax.data.sources.splits import split_spec

__all__ = [
    "SOURCES",
    "ArraySource",
    "BatchOrder",
    "Batches",
    "Dataset",
    "Field",
    "Samples",
    "Source",
    "absolute_data_dir",
    "absolute_spec",
    "available_fields",
    "batch_spec",
    "class_names",
    "default_num_workers",
    "iterate_batches",
    "num_decoded_bytes",
    "open_images",
    "open_source",
    "read_all",
    "split_spec",
    "to_devices",
]
