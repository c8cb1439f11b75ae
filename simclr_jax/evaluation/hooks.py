"""Evaluators, and the hook that runs them during training.

An evaluator is a callable ``evaluator(embed)``: it takes a function from stored images
to features and yields pairs (name, number). It can be called by a hook, by a program,
or by hand. ``EVALUATORS`` contains the evaluators that ``config.hooks`` can name.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, final

import numpy as np

from simclr_jax import augment, data, training
from simclr_jax.core import checks, registry
from simclr_jax.evaluation import features, knn

Evaluator = Callable[[features.Embed], Iterable[tuple[str, float]]]
"""``evaluator(embed)`` yields pairs (name, number)."""

EVALUATORS = registry.Registry("evaluator", supplied=("open_images",))
"""Builders of evaluators by name: ``builder(*, open_images, **options)``, where
``open_images(split)`` opens labeled images of the training data set."""


@final
class EvaluationHook:
    """Hook that calls an evaluator on the frozen encoder, at an interval.

    Only the first process evaluates, on one of its devices.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        *,
        when: training.Every,
        preprocess: augment.Augmentation,
    ):
        """Creates the hook.

        Args:
          evaluator: yields pairs (name, number).
          when: interval of the evaluations.
          preprocess: preprocessing of an image, ``(key, image) -> image``.
        """
        self._evaluator = evaluator
        self._when = when
        self._preprocess = preprocess

    def __call__(
        self, step: int, state: training.TrainState, metrics: Any
    ) -> Mapping[str, float] | None:
        """Returns the numbers of the evaluator, or None if it is not due."""
        count = metrics["loss"].size if "loss" in metrics else 1
        is_due = self._when.is_due(step, num_steps=count)
        if not is_due or not training.distributed.processes.is_first():
            return None
        method = training.on_one_device(state).method()
        embed = features.freeze(method, self._preprocess, layer="embed")
        return dict(self._evaluator(embed))


@final
@EVALUATORS.register("knn")
class KNN:
    """Evaluator by k nearest neighbors; yields their accuracy, ``knn_top1``."""

    def __init__(
        self,
        *,
        open_images: Callable[[str], data.Dataset],
        k: int = 20,
        temperature: float = 0.07,
        train_split: str = "train",
        test_split: str = "test",
        num_train: int | None = 5000,
        num_test: int | None = 1000,
    ):
        """Opens the images.

        Args:
          open_images: opens a split of labeled images.
          k: number of neighbors that vote.
          temperature: temperature of their weights, > 0.
          train_split: split that contains the neighbors.
          test_split: split that is classified.
          num_train: number of training images to use, evenly spaced; None: all.
          num_test: number of test images to use, evenly spaced; None: all.

        Raises:
          UserError: if a number is not positive.
          DataError: if a split is missing or has no labels.
        """
        checks.check_positive_int("k", k)
        checks.check_positive("temperature", temperature)
        self._splits = [
            _take(open_images(train_split), num_train),
            _take(open_images(test_split), num_test),
        ]
        self._k = k
        self._temperature = temperature

    def __call__(self, embed: features.Embed) -> Iterable[tuple[str, float]]:
        """Yields the fraction of test images that are classified correctly."""
        (train, labels), (test, test_labels) = (
            features.extract(embed, images) for images in self._splits
        )
        predicted = knn.knn_predict(
            train,
            labels,
            test,
            k=min(self._k, len(train)),
            temperature=self._temperature,
            num_classes=self._splits[0].num_classes or int(labels.max()) + 1,
        )
        yield "knn_top1", float(np.mean(np.asarray(predicted) == test_labels))


def _take(images: data.Dataset, count: int | None) -> data.Dataset:
    """Returns ``count`` decoded images of a data set, evenly spaced."""
    if count is None or count >= len(images):
        return data.read_all(images)
    rows = np.linspace(0, len(images) - 1, count).astype(int)
    samples = images.read(rows)
    return data.ArraySource(
        name=f"{images.name}, {count} images",
        images=samples["images"],
        labels=samples["labels"],
        num_classes=images.num_classes,
        sizes=samples["sizes"] if images.is_padded else None,
    )
