"""Two-dimensional t-SNE map of features, colored by class."""

import pathlib

import numpy as np
from jaxtyping import Float, Int

from simclr_jax.core import errors
from simclr_jax.plots import figures


def save_class_map(
    path: pathlib.Path,
    features: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    *,
    title: str,
    seed: int = 0,
) -> pathlib.Path:
    """Draws a t-SNE map of features; labels are used only for the colors.

    Van der Maaten & Hinton 2008, in the implementation of scikit-learn, with cosine
    distances.

    Args:
      path: the PNG file to write.
      features: float [n d]; a thousand rows take several seconds.
      labels: class of each row [n].
      title: title of the figure.
      seed: random seed of the optimization.

    Returns:
      The absolute path.

    Raises:
      UserError: if scikit-learn is not installed.

    Example:
      >>> import pathlib, tempfile
      >>> import numpy as np
      >>> from simclr_jax import plots
      >>> features = np.random.default_rng(0).normal(size=(40, 5))
      >>> labels = np.arange(40) % 2
      >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +SKIP
      ...     path = pathlib.Path(folder, "map.png")
      ...     plots.save_class_map(path, features, labels, title="noise").name
      'map.png'
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
    figure = figures.new_figure(width=6.5, height=6.0)
    axis = figure.subplots()
    for label in np.unique(labels):
        chosen = rows[labels == label]
        axis.scatter(*chosen.T, s=6, color=f"C{label % 10}", label=str(label))
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(title, size=10)
    axis.legend(markerscale=2, fontsize=8, loc="upper right")
    return figures.save(figure, path)
