"""A matplotlib figure that needs no screen, and its way to a file."""

import pathlib
from typing import Any

from simclr_jax.core import errors, paths


def new_figure(*, width: float, height: float) -> Any:
    """Returns an empty matplotlib figure.

    Args:
      width: in inches, at 100 dots per inch.
      height: in inches.

    Returns:
      A ``matplotlib.figure.Figure`` without a window.

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
    """Writes a figure as PNG, as a whole, and returns the absolute path.

    Raises:
      UserError: if it cannot be written.
    """
    path = paths.output_file(path, what="picture")
    with paths.replacing(path, what="picture") as temporary:
        figure.savefig(temporary, format="png")
    return path
