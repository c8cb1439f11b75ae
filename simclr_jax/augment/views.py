"""Random views of a batch of images, each view from its own key."""

import functools
import math
import os
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from simclr_jax.augment import padded, transform
from simclr_jax.augment.resizing import resample
from simclr_jax.core import errors, types

ViewBatch = Float[Array, "b out_h out_w c"]
Batch = types.Images | types.StoredImages | types.PaddedImages

_T = TypeVar("_T")


def view_keys(keys: Key[Array, " b"], num_views: int) -> Key[Array, "b v"]:
    """Returns a key for every view, ``split`` from the key of its image.

    Args:
      keys: a key for each image, as returned by ``sample_keys``.
      num_views: views of each image.

    Returns:
      Keys of shape [b, num_views].

    Example:
      >>> import jax
      >>> from simclr_jax import augment
      >>> keys = augment.sample_keys(jax.random.key(0), 4)
      >>> augment.view_keys(keys, 2).shape
      (4, 2)
    """
    return jax.vmap(lambda one: jax.random.split(one, num_views))(keys)


def members(recipe: transform.Recipe) -> tuple[transform.Augmentation, ...]:
    """Returns the augmentation of each view of a recipe.

    Args:
      recipe: an augmentation, which makes two views, or a tuple with one augmentation
        for each view.

    Returns:
      One augmentation for each view.

    Raises:
      UserError: if the tuple is empty.

    Example:
      >>> from simclr_jax import augment
      >>> len(augment.members(augment.build("mnist"))), len(
      ...     augment.members(augment.build("swav"))
      ... )
      (2, 8)
    """
    augmentations = recipe if isinstance(recipe, tuple) else (recipe, recipe)
    if not augmentations:
        raise errors.UserError(
            "A recipe that is a tuple has one augmentation for each view; got none."
        )
    return augmentations


def views(
    keys: Key[Array, " b"], images: Batch, recipe: transform.Recipe
) -> tuple[Float[Array, "b v out_h out_w c"], ...]:
    """Makes the views of a recipe for every image.

    View v of image i has the key ``split(keys[i], n)[v]`` for n views. Views by equal
    augmentations are computed in one batch.

    Args:
      keys: a key for each image, as returned by ``sample_keys``.
      images: float32 in [0, 1], or uint8 in [0, 255], which is divided by 255, of shape
        [b h w c]; or padded images of either type.
      recipe: an augmentation ``(key, image) -> image``, which makes two views, or a
        tuple with one augmentation for each view.

    Returns:
      One array [b v h' w' c] for each size of view, in the order in which the sizes
      first appear in the recipe. SimCLR and BYOL give one array of two views, SwAV's
      multi-crop gives [b 2 224 224 3] and [b 6 96 96 3].

    Raises:
      UserError: if there is not a key for each image, the recipe is an empty tuple, or
        the images are padded and an augmentation does not begin with a crop or a
        resize.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> keys = augment.sample_keys(jax.random.key(0), 4)
      >>> crop = augment.RandomResizedCrop(size=8)
      >>> (views,) = augment.views(keys, jnp.ones((4, 12, 12, 3)), crop)
      >>> views.shape
      (4, 2, 8, 8, 3)
    """
    augmentations = members(recipe)
    batch_size = jax.tree.leaves(images)[0].shape[0]
    if keys.shape != (batch_size,):
        raise errors.UserError(
            f"views needs a key for each of the {batch_size} images; got keys of shape "
            f"{keys.shape}. Make them with augment.sample_keys(key, {batch_size})."
        )
    keys = view_keys(keys, len(augmentations))
    by_size: dict[object, list[tuple[list[int], jax.Array]]] = {}
    for augmentation, indices in _positions(augmentations).items():
        transform.as_transform(augmentation).check_accepts(images)
        made = _make(augmentation, _columns(keys, indices), images)
        by_size.setdefault((made.shape[2:], made.dtype), []).append((indices, made))
    return tuple(_in_order(groups) for groups in by_size.values())


def two_views(
    keys: Key[Array, " b"], images: Batch, recipe: transform.Recipe
) -> tuple[ViewBatch, ViewBatch]:
    """Makes two random views of every image, for a method that compares pairs.

    Args:
      keys: a key for each image, as returned by ``sample_keys``.
      images: see ``views``.
      recipe: an augmentation, or two of them that make views of one size.

    Returns:
      ``(a, b)``, each [b h' w' c]; rows ``a[i]`` and ``b[i]`` show the same image.

    Raises:
      UserError: if the recipe does not make two views of one size.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> keys = augment.sample_keys(jax.random.key(0), 4)
      >>> crop = augment.RandomResizedCrop(size=8)
      >>> a, b = augment.two_views(keys, jnp.ones((4, 12, 12, 3)), crop)
      >>> a.shape, b.shape
      ((4, 8, 8, 3), (4, 8, 8, 3))
    """
    made = views(keys, images, recipe)
    if len(made) != 1 or made[0].shape[1] != 2:
        kinds = " and ".join(
            f"{array.shape[1]} of {array.shape[2]} x {array.shape[3]} pixels"
            for array in made
        )
        raise errors.UserError(
            "two_views needs a recipe that makes two views of one size; this one makes "
            f"{kinds}. Use augment.views, which returns every size."
        )
    return made[0][:, 0], made[0][:, 1]


def _make(augmentation, keys, images):
    """Makes views [b v ...] from keys [b v]: in a loop on a small CPU, else at once.

    A batch of large images exceeds the caches of a CPU, and a loop skips the operations
    that are not applied to a view. The loop uses about two cores, so it is slower on
    machines with many; over a sharded batch it would have to gather the images.
    """

    def make(over, keys, images):
        def of_image(arguments):
            keys, image = arguments
            image = padded.as_float(image)
            return over(lambda key: augmentation(key, image), keys)

        return over(of_image, (keys, images))

    num_pixels = math.prod(jax.tree.leaves(images)[0].shape[1:3])
    is_small_machine = jax.device_count() == 1 and (os.cpu_count() or 1) <= _FEW_CORES
    if num_pixels < resample.LARGE or not is_small_machine:
        return make(_vmap, keys, images)
    return jax.lax.platform_dependent(
        keys,
        images,
        cpu=functools.partial(make, jax.lax.map),
        default=functools.partial(make, _vmap),
    )


def _vmap(function, arguments):
    return jax.vmap(function)(arguments)


_FEW_CORES = 4


def _positions(items: tuple[_T, ...]) -> dict[_T, list[int]]:
    """Returns the indices of each distinct item, in order of first appearance."""
    places: dict[_T, list[int]] = {}
    for index, item in enumerate(items):
        places.setdefault(item, []).append(index)
    return places


def _columns(keys: jax.Array, indices: list[int]) -> jax.Array:
    return jnp.stack([keys[:, index] for index in indices], axis=1)


def _in_order(groups: list[tuple[list[int], jax.Array]]) -> jax.Array:
    """Joins arrays [b v ...] along their views, in the order of the recipe."""
    if len(groups) == 1:
        return groups[0][1]
    placed = {
        index: array[:, column]
        for indices, array in groups
        for column, index in enumerate(indices)
    }
    return jnp.stack([placed[index] for index in sorted(placed)], axis=1)
