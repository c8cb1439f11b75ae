"""Labels of a probe: names of classes, rows without a label, parts held out."""

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
      name: what the images are.
      features: float32, shape [n d].
      labels: int32, shape [n], from 0.
      num_classes: number of classes, of which some may have no row.
      class_names: names of the classes by number, or None.
      num_unlabeled: rows that were left out because they had no label.
    """

    name: str
    features: Float[np.ndarray, "n d"]
    labels: Int[np.ndarray, " n"]
    num_classes: int
    class_names: tuple[str, ...] | None = None
    num_unlabeled: int = 0

    def class_name(self, number: int) -> str:
        """Returns what to call a class in a message."""
        return class_name(self, number)

    def take(self, rows: Int[np.ndarray, " m"], *, name: str) -> "LabeledFeatures":
        """Returns some of the rows, under another name."""
        features, labels = self.features[rows], self.labels[rows]
        return dataclasses.replace(self, name=name, features=features, labels=labels)


def class_name(source: object, number: int) -> str:
    """Finds what to call a class in a message.

    Args:
      source: anything; its attribute ``class_names`` is used where it has one.
      number: number of the class, from 0.

    Returns:
      The name, or the number where there is no name.
    """
    names: Sequence[str] = getattr(source, "class_names", None) or ()
    return str(names[number]) if 0 <= number < len(names) else str(number)


def leave_out_unlabeled(
    source: object,
    features: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
) -> LabeledFeatures:
    """Keeps the rows that have a label.

    Args:
      source: has ``name`` and ``num_classes``, and may have ``class_names``.
      features: float32, shape [n d].
      labels: shape [n]; -1 where there is none.

    Returns:
      The rows with a label, and the number of the others.

    Raises:
      DataError: if no row has a label.
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
    """Numbers the classes of the test set as the training set does, by their names.

    Args:
      test: the set whose labels are renumbered.
      train: its numbers are kept.

    Returns:
      ``test`` with the numbers of ``train``; classes that only ``test`` has come after
      those. Unchanged where one of them has no names.
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
    """Draws a share of the rows of every class.

    Of each class, the share is rounded to the nearest row, but at least one row is held
    out and at least one stays. The only row of a class stays.

    Args:
      labels: shape [n].
      share: in (0, 1).
      seed: decides the draw.

    Returns:
      The numbers of the rows that stay and of those held out, sorted; every row is in
      one of them.

    Raises:
      UserError: if the share is not in (0, 1), or if no class has two rows.
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
