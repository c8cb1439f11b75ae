"""The measurement of a linear probe: fits, scores, and refuses what means nothing."""

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
    """Fits a linear classifier on frozen features and measures it.

    Args:
      train: what the classifier is fitted on.
      test: what it is measured on; its classes are matched by name where both sets have
        names, else by number.
      l2: see ``linear.fit_linear_probe``.
      labels_per_class: so many rows of each class are fitted on; None: all.
      seed: draws those rows.

    Returns:
      ``accuracy`` (share of the test rows that are right), ``balanced_accuracy`` (mean
      over the classes), ``majority_rate`` (accuracy of predicting the largest test
      class everywhere), ``num_labels`` and ``num_test`` (rows with a label that were
      used), ``num_unlabeled`` (rows left out, of both sets), ``untrained_classes``
      (name and number of test rows of the classes that training lacks), ``converged``,
      ``protocol``, ``l2``, and the names ``train`` and ``test``.

    Raises:
      DataError: if all rows of one of the sets are of one class.
      UserError: if a class has too few rows or an option is out of range.
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
    """Computes the features of the labeled images to fit a classifier on and to test.

    Args:
      embed: see ``features.freeze``.
      sets: images to train on and images to test on, or, with ``test_share``, one set.
      test_share: the share of every class of the one set that is held out, in (0, 1);
        None: there are two sets. See ``labels.hold_out``.
      seed: draws what is held out.
      mesh: see ``features.extract``.
      num_workers: see ``features.extract``.

    Returns:
      What to fit on and what to test on, without the images that have no label.

    Raises:
      DataError: if no image of a set has a label.
      UserError: if the share is out of range or nothing can be held out.
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
    """Holds a share of every class out for the test; see ``labels.hold_out``.

    Args:
      whole: features with their labels.
      share: in (0, 1).
      seed: decides the draw.

    Returns:
      What is fitted on and what is measured on.
    """
    train_rows, test_rows = labels.hold_out(whole.labels, share=share, seed=seed)
    single = np.setdiff1d(whole.labels[train_rows], whole.labels[test_rows])
    if len(single):
        _log.warning(
            "%s: %s have one image, which stays in training; they are not tested.",
            whole.name,
            _listed([whole.class_name(int(number)) for number in single]),
        )
    train = whole.take(train_rows, name=f"{whole.name}, {1 - share:g} of every class")
    test = whole.take(test_rows, name=f"{whole.name}, {share:g} of every class")
    return train, dataclasses.replace(test, num_unlabeled=0)  # counted once


def describe(result: Mapping[str, Any]) -> str:
    """Formats what ``measure_linear_probe`` returns as lines for a person.

    Args:
      result: its dictionary.

    Returns:
      Two lines, three where rows were left out.
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
    """Raises where every row is of one class: any features would score 1."""
    found = np.unique(part.labels)
    if len(found) < 2:
        raise errors.DataError(
            f"All {len(part.labels)} labeled images of {part.name} are of one class, "
            f"{part.class_name(int(found[0]))}: an accuracy would be 1 whatever the "
            "encoder has learned. Expected images of two classes at least: one folder "
            "for each class, directly below that of the split."
        )


def _untrained_classes(
    train: labels.LabeledFeatures, test: labels.LabeledFeatures
) -> dict[str, int]:
    """Returns the classes that only the test set has, with their counts; warns."""
    unknown = np.setdiff1d(test.labels, train.labels)
    counts = {
        test.class_name(int(number)): int((test.labels == number).sum())
        for number in unknown
    }
    if counts:
        _log.warning(
            "%s has images of classes that %s lacks, all of which count as wrong: %s.",
            test.name,
            train.name,
            _listed([f"{name} ({count})" for name, count in counts.items()]),
        )
    return counts


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
