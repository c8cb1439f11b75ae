"""The loss over the run, between what guessing gives and what is possible."""

import pathlib
from collections.abc import Sequence

from simclr_jax.plots import canvas


def save_loss_curve(
    path: pathlib.Path,
    steps: Sequence[int],
    loss: Sequence[float],
    *,
    chance: float,
    floor: float,
) -> pathlib.Path:
    """Draws the loss with a line at chance and one at the floor.

    Args:
      path: the PNG file to write.
      steps: numbers of the steps.
      loss: the loss at each, in nats.
      chance: the loss of an encoder that tells nothing apart, ``ln(2b - 1)``.
      floor: the loss of perfect positives and orthogonal negatives.

    Returns:
      The path.
    """
    figure = canvas.new_figure(width=7.0, height=4.0)
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
    return canvas.save(figure, path)
