"""Plot the views that a recipe makes of some images, with their parameters."""

import functools
import textwrap

import jax
import numpy as np
from absl import flags

from simclr_jax import augment, data, plots
from simclr_jax.core import checks, errors, paths, types

_SOURCE = flags.DEFINE_string("source", None, "Data source, e.g. folder:PATH.")
_SPLIT = flags.DEFINE_string("split", "train", "Split of the source.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the TFDS data sets.")
_RECIPE = flags.DEFINE_string(
    "recipe", "simclr_v2", f"One of {', '.join(sorted(augment.RECIPES))}."
)
_SIZE = flags.DEFINE_integer("size", None, "Side of a view; None: that of the recipe.")
_CANVAS = flags.DEFINE_integer("canvas", 288, "Side to which large images are reduced.")
_RANGE = flags.DEFINE_string(
    "range", "full", "Stored values that become black and white."
)
_PAGE = flags.DEFINE_string("page", None, "Page of multi-page images, a number or all.")
_CHANNELS = flags.DEFINE_multi_integer("channels", None, "Channel to keep; repeat it.")
_NUM_IMAGES = flags.DEFINE_integer("num_images", 6, "Number of images, evenly spaced.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the views.")
_OUT = flags.DEFINE_string("out", "views.png", "PNG file to write.")


def main() -> None:
    """Runs the program with the parsed flags."""
    if not _SOURCE.value:
        raise errors.UserError(
            "views needs --source, e.g. --source=folder:PATH or --source=mnist_sample."
        )
    checks.check_positive_int("num_images", _NUM_IMAGES.value)
    out = paths.output_file(_OUT.value, what="--out")
    size = {} if _SIZE.value is None else {"size": _SIZE.value}
    recipe = augment.build(_RECIPE.value, **size)
    source = data.open_source(
        _SOURCE.value,
        split=_SPLIT.value,
        data_dir=_DATA_DIR.value,
        value_range=_RANGE.value,
    )
    images = data.open_images(
        source,
        canvas=_CANVAS.value,
        value_range=_RANGE.value,
        page=_PAGE.value,
        channels=_CHANNELS.value,
    )
    count = min(_NUM_IMAGES.value, len(images))
    chosen = np.linspace(0, len(images) - 1, count).astype(int)
    samples = images.read(chosen)
    batch = augment.as_float(data.to_devices(samples, is_padded=images.is_padded))
    path = plots.save_contact_sheet(
        out,
        [
            pixels[:height, :width] / np.float32(255)
            for pixels, (height, width) in zip(
                samples["images"], samples["sizes"], strict=True
            )
        ],
        draw_tiles(jax.random.key(_SEED.value), batch, recipe),
        title=f"{_RECIPE.value}, {images.name}",
        names=[
            f"{images.title_of(int(number))}\n{height} x {width}"
            for number, (height, width) in zip(
                samples["shown"], samples["sizes"], strict=True
            )
        ],
    )
    print(f"{count} images of {images.name}, their views by {_RECIPE.value}: {path}")


def draw_tiles(
    key: types.PRNGKey,
    images: types.Images | types.PaddedImages,
    recipe: augment.Recipe,
) -> list[list[plots.Tile]]:
    """Makes the views of a batch, as ``augment.views`` does, with their captions.

    Args:
      key: the key of a step.
      images: float images or padded images, [b h w c].
      recipe: of the views.

    Returns:
      For each image its views, in the order of the recipe.
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


def _tile(picture: jax.Array, named: dict[str, float]) -> plots.Tile:
    box, words = None, []
    if "crop_top" in named:
        top, left = named["crop_top"], named["crop_left"]
        height, width = named["crop_height"], named["crop_width"]
        box, words = (top, left, height, width), [f"crop {height:.0f} x {width:.0f}"]
    words += [name for name in _FLAGS if named.get(name)]
    if named.get("jitter_applied", 1.0):
        names = _JITTER if picture.shape[-1] > 1 else _JITTER[:2]
        words += [
            f"{name} {named[name]:.2f}"
            for name in names
            if name in named and named[name] != _NO_EFFECT.get(name)
        ]
    if named.get("blurred"):
        words.append(f"blur {named['blur_sigma']:.2f}")
    caption = textwrap.fill(", ".join(words), width=34)
    return plots.Tile(np.asarray(picture, np.float32), caption, box)


_FLAGS = ("flipped", "grayscale", "solarized")
_JITTER = ("brightness", "contrast", "saturation", "hue")
_NO_EFFECT = {"saturation": 1.0, "hue": 0.0}
