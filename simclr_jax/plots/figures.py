"""Creating matplotlib figures without a display, and saving them."""

import pathlib
from typing import Any

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
