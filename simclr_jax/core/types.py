"""Array types, and the letters used for axes throughout the library.

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
    """Images of different sizes, padded to a common size.

    Each image occupies the upper left corner of its array; pixels outside its own
    height and width are never read. Accepted in place of one image, or of a batch with
    a leading axis ``b``, by operations that run before the crop.

    Attributes:
      pixels: uint8 in [0, 255] or float in [0, 1], shape [h w c] or [b h w c].
      size: the valid height and width in pixels, int32, shape [2] or [b 2].

    Example:
      >>> import numpy as np
      >>> from simclr_jax.core import types
      >>> pixels = np.zeros((16, 16, 3), np.uint8)
      >>> image = types.PaddedImages(pixels, size=np.array([12, 9], np.int32))
      >>> image.size.tolist()
      [12, 9]
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
