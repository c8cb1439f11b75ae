"""Plot the views that a recipe makes of some images, with their parameters."""

import jax
import numpy as np
from absl import flags

from simclr_jax import augment, data, plots
from simclr_jax.core import checks, errors, paths

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
    sizes = samples["sizes"]
    batch = augment.as_float(data.to_devices(samples, is_padded=images.is_padded))
    path = plots.save_contact_sheet(
        out,
        [
            pixels[:height, :width] / np.float32(255)
            for pixels, (height, width) in zip(samples["images"], sizes, strict=True)
        ],
        plots.make_tiles(jax.random.key(_SEED.value), batch, recipe),
        title=f"{_RECIPE.value}, {images.name}",
        names=[
            f"{images.title_of(int(number))}\n{height} x {width}"
            for number, (height, width) in zip(samples["shown"], sizes, strict=True)
        ],
    )
    print(f"{count} images of {images.name}, their views by {_RECIPE.value}: {path}")
