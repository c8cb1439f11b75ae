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

import jax
from jaxtyping import Array, Float, Key, UInt8

PRNGKey = Key[Array, ""]
Image = Float[Array, "h w c"]
Images = Float[Array, "b h w c"]
StoredImages = UInt8[Array, "b h w c"]
Embedding = Float[Array, "b d"]
Scalar = Float[Array, ""]
Metrics = dict[str, jax.Array]
