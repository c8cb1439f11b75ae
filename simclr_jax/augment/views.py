"""Two random views of every image of a batch, keyed by the image's global index."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from simclr_jax.augment import compose
from simclr_jax.core import types

Index = int | Int[Array, ""]
ViewBatch = Float[Array, "b out_h out_w c"]


def sample_keys(
    key: types.PRNGKey, batch_size: int, *, first_index: Index = 0
) -> Key[Array, " b"]:
    """Returns one key for each image: ``fold_in(key, first_index + i)``.

    Args:
      key: the key of the training step.
      batch_size: number of images.
      first_index: index of the first image in the global batch of the step.

    Returns:
      Keys of shape [batch_size]. Key i depends on ``key`` and the global index alone,
      so it is the same on any number of devices and for any micro-batch.
    """
    indices = jnp.arange(batch_size, dtype=jnp.int32) + first_index
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, indices)


def two_views(
    key: types.PRNGKey,
    images: types.Images | types.StoredImages,
    recipe: compose.Augmentation,
    *,
    first_index: Index = 0,
) -> tuple[ViewBatch, ViewBatch]:
    """Makes two independent random views of every image.

    The key of image i is ``fold_in(key, first_index + i)`` and the keys of its views
    are the split of that. So a view is the same alone, in any batch and on any number
    of devices.

    Args:
      key: the key of the training step.
      images: float32 in [0, 1], or uint8 in [0, 255], which is divided by 255.
      recipe: an augmentation ``(key, image) -> image``.
      first_index: index of ``images[0]`` in the global batch of the step; zero when
        ``images`` is the global batch.

    Returns:
      ``(a, b)``, each [b, h', w', c]; rows ``a[i]`` and ``b[i]`` show the same image.
    """
    images = as_float(images)
    keys = sample_keys(key, images.shape[0], first_index=first_index)
    view_keys = jax.vmap(jax.random.split)(keys)
    view = jax.vmap(recipe)
    return view(view_keys[:, 0], images), view(view_keys[:, 1], images)


def as_float(images: types.Images | types.StoredImages) -> types.Images:
    """Converts stored images to the form that augmentations take.

    Args:
      images: uint8 in [0, 255], or already float in [0, 1].

    Returns:
      Float32 images in [0, 1].
    """
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32) * (1.0 / 255.0)
    return images.astype(jnp.float32)
