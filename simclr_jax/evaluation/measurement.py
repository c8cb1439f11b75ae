"""Evaluation of features by a linear probe: splits, fit, scores and their description.

Data for which an accuracy would be meaningless (a single class) raise an error.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jax.sharding import Mesh

from simclr_jax import data
from simclr_jax.core import errors
from simclr_jax.evaluation import features, labels, linear, scores

_log = logging.getLogger("simclr_jax")


def measure_linear_probe(
    train: labels.LabeledFeatures,
    test: labels.LabeledFeatures,
    *,
    l2: float = 1e-3,
    labels_per_class: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Fits a linear classifier on frozen features and tests it.

    Args:
      train: features to fit the classifier on.
      test: features to test it on. Classes are matched by name if both sets have class
        names, otherwise by number.
      l2: weight of the penalty, see ``fit_linear_probe``.
      labels_per_class: number of rows of each class to fit on; None: all.
      seed: random seed for choosing these rows.

    Returns:
      A dict of JSON values: ``accuracy`` (fraction of test rows classified correctly),
      ``balanced_accuracy`` (mean over the classes), ``majority_rate`` (accuracy of
      always predicting the most frequent test class), ``num_labels`` and ``num_test``
      (numbers of rows used), ``num_unlabeled`` (number of rows removed from both sets),
      ``untrained_classes`` (test classes missing in training, with their numbers of
      rows), ``converged``, ``protocol``, ``l2``, and the names ``train`` and ``test``.

    Raises:
      DataError: if all rows of a set belong to one class.
      UserError: if a class has too few rows, or an option is out of range.

    Example:
      >>> import numpy as np
      >>> from simclr_jax import evaluation
      >>> rows = evaluation.LabeledFeatures(
      ...     name="line",
      ...     features=np.array([[0.0], [1.0], [2.0], [3.0]], np.float32),
      ...     labels=np.array([0, 0, 1, 1]),
      ...     num_classes=2,
      ... )
      >>> evaluation.measure_linear_probe(rows, rows)["accuracy"]
      1.0
    """
    test = labels.number_as(test, train)
    for part in (train, test):
        _check_classes(part)
    rows = np.arange(len(train.labels))
    if labels_per_class is not None:
        rows = linear.take_per_class(
            train.labels,
            num_per_class=labels_per_class,
            seed=seed,
            name_of=train.class_name,
        )
    untrained = _untrained_classes(train, test)
    probe = linear.fit_linear_probe(
        train.features[rows], train.labels[rows], num_classes=train.num_classes, l2=l2
    )
    predicted = probe.predict(test.features)
    return {
        "accuracy": float(np.mean(predicted == test.labels)),
        "balanced_accuracy": scores.balanced_accuracy(predicted, test.labels),
        "majority_rate": scores.majority_rate(test.labels),
        "protocol": linear.PROTOCOL,
        "l2": l2,
        "converged": probe.converged,
        "num_labels": len(rows),
        "num_test": len(test.labels),
        "num_unlabeled": train.num_unlabeled + test.num_unlabeled,
        "untrained_classes": untrained,
        "train": train.name,
        "test": test.name,
    }


def extract_train_and_test(
    embed: features.Embed,
    sets: Sequence[data.Dataset],
    *,
    test_share: float | None = None,
    seed: int = 0,
    mesh: Mesh | None = None,
    num_workers: int = 0,
) -> tuple[labels.LabeledFeatures, labels.LabeledFeatures]:
    """Computes labeled features for training and testing a classifier.

    Args:
      embed: function from stored images to features, see ``freeze``.
      sets: training images and test images; with ``test_share``, a single set.
      test_share: fraction of every class of the single set to hold out for the test, in
        (0, 1), see ``hold_out``. None: there are two sets.
      seed: random seed of ``hold_out``.
      mesh: see ``extract``.
      num_workers: see ``extract``.

    Returns:
      Features for training and for testing, without the images that have no label.

    Raises:
      DataError: if no image of a set has a label.
      UserError: if the share is out of range, or if nothing can be held out.

    Example:
      >>> import numpy as np
      >>> from simclr_jax import data, evaluation
      >>> images = data.ArraySource(
      ...     name="four images",
      ...     images=np.zeros((4, 4, 4, 1), np.uint8),
      ...     labels=np.array([0, 0, 1, 1], np.int32),
      ...     num_classes=2,
      ... )
      >>> mean = lambda batch: batch.mean(axis=(1, 2))
      >>> train, test = evaluation.extract_train_and_test(
      ...     mean, [images], test_share=0.5
      ... )
      >>> len(train.labels), len(test.labels)
      (2, 2)
    """
    parts = []
    for images in sets:
        found = features.extract(embed, images, mesh=mesh, num_workers=num_workers)
        parts.append(labels.leave_out_unlabeled(images, *found))
    if test_share is not None:
        return split_for_test(parts[0], share=test_share, seed=seed)
    train, test = parts
    return train, test


def split_for_test(
    whole: labels.LabeledFeatures, *, share: float, seed: int
) -> tuple[labels.LabeledFeatures, labels.LabeledFeatures]:
    """Splits labeled features into a training set and a test set, class by class.

    Args:
      whole: features with their labels.
      share: fraction of every class for the test, in (0, 1), see ``hold_out``.
      seed: random seed of the draw.

    Returns:
      The training set and the test set.

    Example:
      >>> import numpy as np
      >>> from simclr_jax import evaluation
      >>> whole = evaluation.LabeledFeatures(
      ...     name="images",
      ...     features=np.zeros((6, 3), np.float32),
      ...     labels=np.array([0, 0, 0, 0, 1, 1]),
      ...     num_classes=2,
      ... )
      >>> train, test = evaluation.split_for_test(whole, share=0.5, seed=0)
      >>> train.labels.tolist(), test.labels.tolist()
      ([0, 0, 1], [0, 0, 1])
    """
    train_rows, test_rows = labels.hold_out(whole.labels, share=share, seed=seed)
    single = np.setdiff1d(whole.labels[train_rows], whole.labels[test_rows])
    if len(single):
        _log.warning(
            "%s: classes with a single image, which is used for training only: %s.",
            whole.name,
            _listed([whole.class_name(int(number)) for number in single]),
        )
    train = whole.take(train_rows, name=f"{whole.name}, {1 - share:g} of every class")
    test = whole.take(test_rows, name=f"{whole.name}, {share:g} of every class")
    return train, dataclasses.replace(test, num_unlabeled=0)  # Counted in `train`.


def describe(result: Mapping[str, Any]) -> str:
    """Formats the result of ``measure_linear_probe`` as text.

    Args:
      result: the result.

    Returns:
      Two lines; three if rows were removed.

    Example:
      >>> from simclr_jax import evaluation
      >>> result = {
      ...     "accuracy": 0.9,
      ...     "balanced_accuracy": 0.8,
      ...     "majority_rate": 0.5,
      ...     "num_test": 100,
      ...     "num_unlabeled": 0,
      ... }
      >>> print(evaluation.describe(result).splitlines()[0])
      Test Accuracy: 0.9000
    """
    lines = [
        f"Test Accuracy: {result['accuracy']:.4f}",
        f"balanced  {result['balanced_accuracy']:.4f} over the classes; the largest "
        f"class alone is {result['majority_rate']:.4f} of the {result['num_test']:,} "
        "test images",
    ]
    if result["num_unlabeled"]:
        lines.append(f"left out  {result['num_unlabeled']:,} images without a label")
    return "\n".join(lines)


def _check_classes(part: labels.LabeledFeatures) -> None:
    """Raises if all rows belong to one class, because any features would score 1."""
    found = np.unique(part.labels)
    if len(found) < 2:
        raise errors.DataError(
            f"All {len(part.labels)} labeled images of {part.name} are of one class, "
            f"{part.class_name(int(found[0]))}, so the accuracy of any encoder would "
            "be 1. Expected images of at least two classes: one folder per class, "
            "directly inside the folder of the split."
        )


def _untrained_classes(
    train: labels.LabeledFeatures, test: labels.LabeledFeatures
) -> dict[str, int]:
    """Returns the classes that only the test set has, with their counts, and warns."""
    unknown = np.setdiff1d(test.labels, train.labels)
    counts = {
        test.class_name(int(number)): int((test.labels == number).sum())
        for number in unknown
    }
    if counts:
        _log.warning(
            "%s has images of classes that %s lacks; they all count as errors: %s.",
            test.name,
            train.name,
            _listed([f"{name} ({count})" for name, count in counts.items()]),
        )
    return counts


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
