"""The shape alphabet and the array types, defined here and nowhere else.

========  =====================================================================
letter    meaning
========  =====================================================================
``b``     images in the batch
``v``     views of one image
``n``     rows of the loss, ``b * v``
``d``     width of an embedding
``h w c`` height, width and channels of an image
``k``     classes
========  =====================================================================

Images are float32 in [0, 1] unless a docstring says otherwise; their stored form
(``StoredImages``) is uint8 in [0, 255].
"""

from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float, Int, Key, UInt8

from simclr_jax.core import fields

DATA_AXIS = "data"
"""The axis of a mesh over which a batch is split."""

PRNGKey = Key[Array, ""]
Image = Float[Array, "h w c"]
Images = Float[Array, "b h w c"]
StoredImages = UInt8[Array, "b h w c"]
Embedding = Float[Array, "b d"]
Scalar = Float[Array, ""]


class PaddedImages(NamedTuple):
    """Images of many sizes in arrays of one size.

    Each image lies in the upper left corner of its canvas; what is beyond its own
    height and width is never looked at. Goes wherever one image, or a batch with a
    leading axis ``b``, can go before it is cropped.

    Attributes:
      pixels: uint8 in [0, 255] or float in [0, 1], shape [h w c] or [b h w c].
      size: the valid height and width in pixels, int32, shape [2] or [b 2].
    """

    pixels: Float[Array, "*b h w c"] | UInt8[Array, "*b h w c"]
    size: Int[Array, "*b 2"]


Field = fields.Field
"""The shape, without ``b``, and the type of one field of a batch."""

Batch = dict[str, jax.Array | PaddedImages]
"""The fields of a batch by name, e.g. ``image`` and ``label``."""

BatchSpec = dict[str, Any]
"""A ``Field`` for each field of a batch; ``PaddedImages`` of two for padded images."""

Metrics = dict[str, jax.Array]
