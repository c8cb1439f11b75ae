"""Loss curve of a run, with the loss at chance and the lowest possible loss."""

import pathlib
from collections.abc import Sequence

from simclr_jax.plots import figures


def save_loss_curve(
    path: pathlib.Path,
    steps: Sequence[int],
    loss: Sequence[float],
    *,
    chance: float,
    floor: float,
) -> pathlib.Path:
    """Draws the loss, with horizontal lines at chance and at the floor.

    Args:
      path: the PNG file to write.
      steps: step numbers.
      loss: loss at each step, in nats.
      chance: loss of an encoder whose embeddings are all equal, ``ln(2b - 1)``.
      floor: loss if positives are identical and negatives orthogonal.

    Returns:
      The absolute path.

    Example:
      >>> import pathlib, tempfile
      >>> from simclr_jax import plots
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder, "loss.png")
      ...     path = plots.save_loss_curve(path, [1], [5.0], chance=5.5, floor=1.0)
      ...     path.name
      'loss.png'
    """
    figure = figures.new_figure(width=7.0, height=4.0)
    axis = figure.subplots()
    axis.plot(steps, loss, color="tab:blue", linewidth=1.2)
    for value, text in ((chance, "chance"), (floor, "floor")):
        axis.axhline(value, color="gray", linestyle="--", linewidth=0.8)
        axis.annotate(
            f"{text} {value:.2f}",
            (1, value),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 3),
            textcoords="offset points",
            ha="right",
            size=8,
            color="gray",
        )
    axis.set_xlabel("step")
    axis.set_ylabel("NT-Xent (nats)")
    axis.set_ylim(bottom=0, top=1.08 * max(chance, *loss))
    return figures.save(figure, path)
