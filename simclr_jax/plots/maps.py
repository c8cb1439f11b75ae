"""A map of features in two dimensions, colored by class."""

import pathlib

import numpy as np
from jaxtyping import Float, Int

from simclr_jax.core import errors
from simclr_jax.plots import canvas


def save_class_map(
    path: pathlib.Path,
    features: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    *,
    title: str,
    seed: int = 0,
) -> pathlib.Path:
    """Draws a t-SNE map of features. Labels are used for the colors only.

    Van der Maaten & Hinton 2008, as scikit-learn has it, with cosine distances.

    Args:
      path: the PNG file to write.
      features: shape [n d]; a thousand rows take some seconds.
      labels: class of each row.
      title: what the features are.
      seed: of the optimization.

    Returns:
      The path.

    Raises:
      UserError: if scikit-learn is not installed.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise errors.UserError(
            'The map needs scikit-learn. Run: pip install "simclr_jax[plots]"'
        ) from error
    rows = TSNE(metric="cosine", init="random", random_state=seed).fit_transform(
        np.asarray(features, np.float32)
    )
    figure = canvas.new_figure(width=6.5, height=6.0)
    axis = figure.subplots()
    for label in np.unique(labels):
        chosen = rows[labels == label]
        axis.scatter(*chosen.T, s=6, color=f"C{label % 10}", label=str(label))
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(title, size=10)
    axis.legend(markerscale=2, fontsize=8, loc="upper right")
    return canvas.save(figure, path)
