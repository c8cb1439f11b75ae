"""Contact sheet: images with their crop boxes, beside their views with captions."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple, final

import numpy as np
from jaxtyping import Float

from simclr_jax.plots import figures


@final
class Tile(NamedTuple):
    """One view on a contact sheet.

    Attributes:
      picture: float image [h w c] in [0, 1]; see ``figures.draw_image`` for channels.
      caption: text below it; may have several lines.
      box: (top, left, height, width) of the crop in pixels of the original, or None.
    """

    picture: Float[np.ndarray, "h w c"]
    caption: str
    box: tuple[float, float, float, float] | None


def save_contact_sheet(
    path: pathlib.Path,
    originals: Sequence[np.ndarray],
    views: Sequence[Sequence[Tile]],
    *,
    title: str,
    names: Sequence[str],
) -> pathlib.Path:
    """Draws one row per image: the original with its crop boxes, then its views.

    Args:
      path: the PNG file to write.
      originals: float images [h w c] in [0, 1], of any sizes.
      views: views of each image; every image has the same number.
      title: title of the figure.
      names: captions of the originals.

    Returns:
      The absolute path.

    Example:
      >>> import pathlib, tempfile
      >>> import numpy as np
      >>> from simclr_jax import plots
      >>> image = np.full((8, 8, 1), 0.5)
      >>> tile = plots.Tile(image[:4, :4], "crop", (0.0, 0.0, 4.0, 4.0))
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder, "sheet.png")
      ...     plots.save_contact_sheet(
      ...         path, [image], [[tile]], title="views", names=["gray"]
      ...     ).name
      'sheet.png'
    """
    num_rows, num_views = len(originals), len(views[0])
    figure = figures.new_figure(
        width=1.9 * (num_views + 1), height=2.5 * num_rows + 0.5
    )
    figure.suptitle(title, size=9)
    grid = figure.subplots(num_rows, num_views + 1, squeeze=False)
    for axes, original, tiles, name in zip(grid, originals, views, names, strict=True):
        _draw_picture(axes[0], original, caption=name)
        for number, (axis, tile) in enumerate(zip(axes[1:], tiles, strict=True)):
            color = f"C{number % 10}"
            _draw_picture(axis, tile.picture, caption=tile.caption, color=color)
            if tile.box is not None:
                _draw_box(axes[0], tile.box, color)
    return figures.save(figure, path)


def _draw_picture(
    axis: Any, picture: np.ndarray, *, caption: str, color: str | None = None
) -> None:
    figures.draw_image(axis, picture)
    axis.set_xlabel(caption, size=6, loc="left")
    for spine in axis.spines.values():
        spine.set_color(color or "black")
        spine.set_linewidth(1.5 if color else 0.5)


def _draw_box(axis: Any, box: tuple[float, float, float, float], color: str) -> None:
    from matplotlib.patches import Rectangle

    top, left, height, width = box
    axis.add_patch(
        # In the axes, the center of the first pixel is at 0 and its corner at -1/2.
        Rectangle(
            (left - 0.5, top - 0.5),
            width,
            height,
            fill=False,
            edgecolor=color,
            linewidth=1.2,
        )
    )
