"""Creating matplotlib figures without a display, and saving them."""

import pathlib
from typing import Any

import numpy as np

from simclr_jax.core import errors, paths


def new_figure(*, width: float, height: float) -> Any:
    """Creates an empty matplotlib figure with 100 dots per inch.

    Args:
      width: width in inches.
      height: height in inches.

    Returns:
      A ``matplotlib.figure.Figure`` that needs no display.

    Raises:
      UserError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise errors.UserError(
            'Pictures need matplotlib. Run: pip install "simclr_jax[plots]"'
        ) from error
    return Figure(figsize=(width, height), dpi=100, layout="constrained")


def draw_image(axis: Any, image: np.ndarray) -> None:
    """Draws an image of any number of channels on an axis without ticks.

    Args:
      axis: a ``matplotlib.axes.Axes``.
      image: float image [h w c] in [0, 1]. One channel is drawn in gray, two in red and
        green; of more than three, the first three are drawn in red, green and blue.
    """
    if image.shape[-1] == 1:
        axis.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1)
    else:
        missing = max(0, 3 - image.shape[-1])
        axis.imshow(np.pad(image[..., :3], ((0, 0), (0, 0), (0, missing))))
    axis.set_xticks([])
    axis.set_yticks([])


def save(figure: Any, path: pathlib.Path) -> pathlib.Path:
    """Writes a figure as a PNG file, atomically.

    Args:
      figure: the figure.
      path: the file.

    Returns:
      The absolute path.

    Raises:
      UserError: if the file cannot be written.
    """
    path = paths.output_file(path, what="picture")
    with paths.replacing(path, what="picture") as temporary:
        figure.savefig(temporary, format="png")
    return path
