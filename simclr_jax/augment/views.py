"""Random views of every image of a batch, each from a key of its own."""

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
    """Returns the key of every view: those of an image are ``split`` from its key.

    Args:
      keys: a key for each image, as ``sample_keys`` makes them.
      num_views: views of each.

    Returns:
      Keys of shape [b, num_views].
    """
    return jax.vmap(lambda one: jax.random.split(one, num_views))(keys)


def members(recipe: transform.Recipe) -> tuple[transform.Augmentation, ...]:
    """Returns the augmentation of each view that a recipe makes of an image.

    Args:
      recipe: an augmentation, of which two views are made, or a tuple with one
        augmentation for each view.

    Returns:
      One augmentation for each view.

    Raises:
      UserError: if the tuple is empty.
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
    """Makes the views of a recipe of every image.

    View v of image i has the key ``split(keys[i], n)[v]``, n being the number of views.
    Views by equal augmentations are made in one batched computation.

    Args:
      keys: a key for each image, as ``sample_keys`` makes them.
      images: float32 in [0, 1], or uint8 in [0, 255], which is divided by 255, of shape
        [b h w c]; or a canvas of either.
      recipe: an augmentation ``(key, image) -> image``, which makes two views, or a
        tuple of them, which makes one view for each.

    Returns:
      One array [b v h' w' c] for each size of view, in the order in which the sizes
      first appear in the recipe. SimCLR and BYOL give one array of two views, SwAV's
      multi-crop gives [b 2 224 224 3] and [b 6 96 96 3].

    Raises:
      UserError: if there is not a key for each image, the recipe is an empty tuple, or
        ``images`` is a canvas and an augmentation does not begin with a crop or a
        resize.
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
      keys: a key for each image, as ``sample_keys`` makes them.
      images: see ``views``.
      recipe: an augmentation, or two of them that make views of one size.

    Returns:
      ``(a, b)``, each [b h' w' c]; rows ``a[i]`` and ``b[i]`` show the same image.

    Raises:
      UserError: if the recipe makes anything but two views of one size.
    """
    made = views(keys, images, recipe)
    if len(made) != 1 or made[0].shape[1] != 2:
        kinds = " and ".join(
            f"{array.shape[1]} of {array.shape[2]} x {array.shape[3]} pixels"
            for array in made
        )
        raise errors.UserError(
            "two_views needs a recipe that makes two views of one size; this one makes "
            f"{kinds}. Take views, which returns every size."
        )
    return made[0][:, 0], made[0][:, 1]


def _make(augmentation, keys, images):
    """Returns the views [b v ...] with keys [b v]: one by one on a CPU, else at once.

    Many large images at once would leave the caches of a CPU, and a loop skips what a
    view has not drawn. The loop itself uses about two cores, so many of them are better
    off without it; over a sharded batch it would have to gather the images.
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
    """Returns where each distinct item stands, in the order of first appearance."""
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
