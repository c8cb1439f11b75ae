"""Features with labels: class names, rows without a label, held-out rows."""

import dataclasses
from collections.abc import Sequence
from typing import final

import numpy as np
from jaxtyping import Float, Int

from simclr_jax.core import errors


@final
@dataclasses.dataclass(frozen=True, eq=False)
class LabeledFeatures:
    """Features with the class of each row.

    Attributes:
      name: name of the images.
      features: float32 [n d].
      labels: int32 [n], from 0.
      num_classes: number of classes; some may have no rows.
      class_names: names of the classes by number, or None.
      num_unlabeled: number of rows that were removed because they had no label.
    """

    name: str
    features: Float[np.ndarray, "n d"]
    labels: Int[np.ndarray, " n"]
    num_classes: int
    class_names: tuple[str, ...] | None = None
    num_unlabeled: int = 0

    def class_name(self, number: int) -> str:
        """Returns the name of class ``number`` for messages."""
        return class_name(self, number)

    def take(self, rows: Int[np.ndarray, " m"], *, name: str) -> "LabeledFeatures":
        """Returns the rows with the indices ``rows``, under the name ``name``."""
        features, labels = self.features[rows], self.labels[rows]
        return dataclasses.replace(self, name=name, features=features, labels=labels)


def class_name(source: object, number: int) -> str:
    """Returns the name of a class for messages.

    Args:
      source: any object; its attribute ``class_names`` is used if it has one.
      number: number of the class, from 0.

    Returns:
      The name, or the number if there is no name.

    Example:
      >>> from simclr_jax import data, evaluation
      >>> evaluation.class_name(data.open_source("mnist_sample"), 3)
      '3'
    """
    names: Sequence[str] = getattr(source, "class_names", None) or ()
    return str(names[number]) if 0 <= number < len(names) else str(number)


def leave_out_unlabeled(
    source: object,
    features: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
) -> LabeledFeatures:
    """Removes the rows without a label.

    Args:
      source: object with ``name`` and ``num_classes``, and optionally ``class_names``.
      features: float32 [n d].
      labels: integers [n]; -1 means no label.

    Returns:
      The rows with a label, and the number of removed rows.

    Raises:
      DataError: if no row has a label.

    Example:
      >>> import types
      >>> import numpy as np
      >>> from simclr_jax import evaluation
      >>> source = types.SimpleNamespace(name="images", num_classes=2)
      >>> found = evaluation.leave_out_unlabeled(
      ...     source, np.zeros((3, 4), np.float32), np.array([0, -1, 1], np.int32)
      ... )
      >>> found.labels.tolist(), found.num_unlabeled
      ([0, 1], 1)
    """
    name = getattr(source, "name", "the images")
    has_label = np.asarray(labels) >= 0
    if not has_label.any():
        raise errors.DataError(
            f"{name}: none of the {len(labels)} images has a label; a probe needs them."
        )
    labels = np.asarray(labels)[has_label]
    names = getattr(source, "class_names", None)
    return LabeledFeatures(
        name=name,
        features=np.asarray(features)[has_label],
        labels=labels,
        num_classes=max(getattr(source, "num_classes", None) or 0, labels.max() + 1),
        class_names=None if names is None else tuple(map(str, names)),
        num_unlabeled=int((~has_label).sum()),
    )


def number_as(test: LabeledFeatures, train: LabeledFeatures) -> LabeledFeatures:
    """Renumbers the classes of a test set to match a training set, by class names.

    Args:
      test: the set whose labels are renumbered.
      train: the set whose numbers are used.

    Returns:
      ``test`` with the class numbers of ``train``, followed by the classes that only
      ``test`` has. Unchanged if one of the sets has no class names.
    """
    if not train.class_names or not test.class_names:
        return test
    names = list(train.class_names)
    names += [name for name in test.class_names if name not in names]
    number_of = {name: number for number, name in enumerate(names)}
    numbers = np.asarray([number_of[name] for name in test.class_names], np.int32)
    return dataclasses.replace(
        test,
        labels=numbers[test.labels],
        num_classes=len(names),
        class_names=tuple(names),
    )


def hold_out(
    labels: Int[np.ndarray, " n"], *, share: float, seed: int
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " test"]]:
    """Draws a fraction of the rows of every class to hold out for a test.

    In each class, the number of rows is rounded to the nearest integer, but at least
    one row is held out and at least one remains. The only row of a class remains.

    Args:
      labels: integers [n].
      share: fraction to hold out, in (0, 1).
      seed: random seed of the draw.

    Returns:
      Indices of the rows that remain, and of those held out; both sorted.

    Raises:
      UserError: if the share is not in (0, 1), or if no class has two rows.

    Example:
      >>> import numpy as np
      >>> from simclr_jax import evaluation
      >>> labels = np.array([0, 0, 0, 0, 1, 1])
      >>> train, test = evaluation.hold_out(labels, share=0.5, seed=0)
      >>> labels[train].tolist(), labels[test].tolist()
      ([0, 0, 1], [0, 0, 1])
    """
    if not 0 < share < 1:
        raise errors.UserError(
            f"The share held out must be above 0 and below 1; got {share!r}."
        )
    generator = np.random.default_rng(seed)
    is_test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(rows) > 1:
            count = min(max(round(share * len(rows)), 1), len(rows) - 1)
            is_test[generator.choice(rows, count, replace=False)] = True
    if not is_test.any():
        raise errors.UserError(
            f"None of the {len(np.unique(labels))} classes has two images, so none can "
            "be held out for the test. Give a test split."
        )
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)
