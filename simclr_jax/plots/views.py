"""What the encoder sees: originals beside their views."""

import pathlib

import numpy as np
from jaxtyping import Float

from simclr_jax.plots import canvas


def save_view_grid(
    path: pathlib.Path,
    originals: Float[np.ndarray, "n h w c"],
    views: Float[np.ndarray, "n v h2 w2 c"],
) -> pathlib.Path:
    """Draws a row for each image: the original at the left, then its views.

    Args:
      path: the PNG file to write.
      originals: in [0, 1], shape [n h w c], one or three channels.
      views: in [0, 1], shape [n v h' w' c].

    Returns:
      The path.
    """
    num_rows, num_views = views.shape[:2]
    figure = canvas.new_figure(width=1.1 * (num_views + 1), height=1.1 * num_rows + 0.4)
    grid = figure.subplots(num_rows, num_views + 1, squeeze=False)
    for row, axes in enumerate(grid):
        pictures = [originals[row], *views[row]]
        for column, (axis, picture) in enumerate(zip(axes, pictures, strict=True)):
            gray = picture.shape[-1] == 1
            axis.imshow(
                picture[..., 0] if gray else picture,
                cmap="gray" if gray else None,
                vmin=0,
                vmax=1,
            )
            axis.set_xticks([])
            axis.set_yticks([])
            if row == 0:
                axis.set_title("original" if column == 0 else f"view {column}", size=9)
    return canvas.save(figure, path)
