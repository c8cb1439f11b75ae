"""Tiles of a contact sheet: views of a batch, with the parameters applied to them."""

import functools
import math
import textwrap

import jax
import numpy as np

from simclr_jax import augment
from simclr_jax.core import types
from simclr_jax.plots import sheets


def make_tiles(
    key: types.PRNGKey,
    images: types.Images | types.PaddedImages,
    recipe: augment.Recipe,
) -> list[list[sheets.Tile]]:
    """Makes the views of a batch, as ``augment.views`` does, with their captions.

    Args:
      key: PRNG key of the step.
      images: float images in [0, 1] or padded images, shape [b h w c].
      recipe: the recipe of the views.

    Returns:
      The views of each image, in the order of the recipe.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment, plots
      >>> flip = augment.RandomHorizontalFlip(probability=1.0)
      >>> tiles = plots.make_tiles(jax.random.key(0), jnp.ones((1, 8, 8, 3)), flip)
      >>> [tile.caption for tile in tiles[0]]
      ['flipped', 'flipped']
    """
    augmentations = augment.members(recipe)
    batch_size = len(jax.tree.leaves(images)[0])
    sample_keys = augment.sample_keys(key, batch_size)
    keys = augment.view_keys(sample_keys, len(augmentations))
    columns = []
    for number, augmentation in enumerate(augmentations):
        pictures, named = _make(augmentation, keys[:, number], images)
        columns.append(
            [
                _tile(pictures[i], {name: float(named[name][i]) for name in named})
                for i in range(batch_size)
            ]
        )
    return [list(row) for row in zip(*columns, strict=True)]


@functools.partial(jax.jit, static_argnums=0)
def _make(
    augmentation: augment.Augmentation,
    keys: jax.Array,
    images: jax.Array | types.PaddedImages,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns one view of every image and the parameters that were applied."""
    transform = augment.as_transform(augmentation)
    params = jax.vmap(transform.sample)(keys, images)
    pictures = jax.vmap(transform.apply)(params, images)
    return pictures, transform.report(params)


def _tile(picture: jax.Array, named: dict[str, float]) -> sheets.Tile:
    named = {name: value for name, value in named.items() if not math.isnan(value)}
    box, words = None, []
    if "crop_top" in named:
        top, left = named["crop_top"], named["crop_left"]
        height, width = named["crop_height"], named["crop_width"]
        box, words = (top, left, height, width), [f"crop {height:.0f} x {width:.0f}"]
    words += [name for name in _FLAGS if named.get(name)]
    words += [
        f"{name} {named[name]:.2f}"
        for name in (_JITTER if picture.shape[-1] > 1 else _JITTER[:2])
        if name in named and named[name] != _NO_EFFECT.get(name)
    ]
    if named.get("blurred"):
        words.append(f"blur {named['blur_sigma']:.2f}")
    caption = textwrap.fill(", ".join(words), width=34)
    return sheets.Tile(np.asarray(picture, np.float32), caption, box)


_FLAGS = ("flipped", "grayscale", "solarized")
_JITTER = ("brightness", "contrast", "saturation", "hue")
_NO_EFFECT = {"saturation": 1.0, "hue": 0.0}
