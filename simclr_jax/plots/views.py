"""Grid of images beside their augmented views."""

import pathlib

import numpy as np
from jaxtyping import Float

from simclr_jax.plots import figures


def save_view_grid(
    path: pathlib.Path,
    originals: Float[np.ndarray, "n h w c"],
    views: Float[np.ndarray, "n v h2 w2 c"],
) -> pathlib.Path:
    """Draws one row per image: the original at the left, then its views.

    Args:
      path: the PNG file to write.
      originals: float [n h w c] in [0, 1]; see ``figures.draw_image`` for channels.
      views: float [n v h' w' c] in [0, 1].

    Returns:
      The absolute path.

    Example:
      >>> import pathlib, tempfile
      >>> import numpy as np
      >>> from simclr_jax import plots
      >>> originals = np.zeros((1, 8, 8, 1))
      >>> views = np.zeros((1, 2, 6, 6, 1))
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder, "views.png")
      ...     plots.save_view_grid(path, originals, views).name
      'views.png'
    """
    num_rows, num_views = views.shape[:2]
    figure = figures.new_figure(
        width=1.1 * (num_views + 1), height=1.1 * num_rows + 0.4
    )
    grid = figure.subplots(num_rows, num_views + 1, squeeze=False)
    for row, axes in enumerate(grid):
        pictures = [originals[row], *views[row]]
        for column, (axis, picture) in enumerate(zip(axes, pictures, strict=True)):
            figures.draw_image(axis, picture)
            if row == 0:
                axis.set_title("original" if column == 0 else f"view {column}", size=9)
    return figures.save(figure, path)
