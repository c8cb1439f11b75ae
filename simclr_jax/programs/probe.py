"""Reads a checkpoint with a linear classifier on its frozen encoder."""

import json
import os
import pathlib
from typing import Any

import numpy as np
from absl import flags

from simclr_jax import assembly, data, evaluation, training
from simclr_jax.core import errors

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "The workdir of a pretraining run; the newest step is read."
)
_DATASET = flags.DEFINE_string(
    "dataset", None, "Labeled images, e.g. tfds:mnist; None: those of the run."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS sets lie.")
_STEP = flags.DEFINE_integer("step", None, "Which checkpoint; None: the newest.")
_TRAIN_SPLIT = flags.DEFINE_string("train_split", "train", "Fits the classifier.")
_TEST_SPLIT = flags.DEFINE_string("test_split", "test", "Measures its accuracy.")
_LABELS_PER_CLASS = flags.DEFINE_integer(
    "labels_per_class", None, "Uses so many labels of each class; None: all."
)
_L2 = flags.DEFINE_float("l2", 1e-3, "Weight of the penalty on the classifier.")
_SEED = flags.DEFINE_integer("seed", 0, "Draws the labels, where not all are used.")
_OUTPUT = flags.DEFINE_string("output", None, "None: probe.json in the workdir.")


def main() -> None:
    """Runs the program with the parsed flags."""
    if not _CHECKPOINT.value:
        raise errors.UserError(
            "probe needs --checkpoint=DIR, the workdir of a pretraining run."
        )
    workdir = pathlib.Path(_CHECKPOINT.value)
    encoder = assembly.restore_encoder(workdir, step=_STEP.value)
    dataset = _DATASET.value or encoder.config.data.source
    data_dir = _DATA_DIR.value or encoder.config.data.data_dir
    splits = []
    for split in (_TRAIN_SPLIT.value, _TEST_SPLIT.value):
        source = data.open_source(
            dataset,
            split=split,
            data_dir=data_dir,
            square_side=encoder.config.data.square_side,
        )
        splits.append(_check_source(source, encoder))
    result = _measure(encoder, *splits)
    output = pathlib.Path(_OUTPUT.value or workdir / "probe.json")
    _write_whole(output, result)
    print(f"Test Accuracy: {result['accuracy']:.4f}\nWritten to {output}.")


def _check_source(
    source: data.Source, encoder: assembly.RestoredEncoder
) -> data.Source:
    """Raises unless the encoder can read the images and there are labels."""
    if source.num_classes is None:
        raise errors.DataError(f"{source.name} has no labels; a probe needs them.")
    if source.image_shape is None:
        raise errors.DataError(
            f"{source.name} has images of many sizes; the run must have been trained "
            "with data.square_side."
        )
    expected = tuple(encoder.meta["data"]["image_shape"])
    if source.image_shape[-1] != expected[-1]:
        raise errors.DataError(
            f"{source.name} has images of {source.image_shape[-1]} channels; the "
            f"encoder was trained on {encoder.meta['data']['name']} with "
            f"{expected[-1]}. Probe it on images of {expected[-1]} channels."
        )
    if source.image_shape != expected:
        print(
            f"note: images of {source.image_shape[:2]} pixels are resized to the "
            f"{expected[:2]} that the encoder was trained on."
        )
    return source


def _measure(
    encoder: assembly.RestoredEncoder, train: data.Source, test: data.Source
) -> dict[str, Any]:
    """Extracts the features once, fits the classifier and measures it."""
    mesh = training.make_mesh()
    print(
        f"encoder   {encoder.config.encoder.name} of step {encoder.step}, frozen: "
        f"{evaluation.count_parameters(encoder.module):,} parameters, 0 trainable\n"
        f"data      {train.name} ({len(train):,}) and {test.name} ({len(test):,})",
        flush=True,
    )
    embed = evaluation.freeze(encoder.module, encoder.preprocess)
    features, labels = [], []
    for source in (train, test):
        images = data.read_all(source)
        features.append(evaluation.extract(embed, images.images, mesh=mesh))
        labels.append(images.labels)
    rows = np.arange(len(train))
    if _LABELS_PER_CLASS.value is not None:
        rows = evaluation.take_per_class(
            labels[0], num_per_class=_LABELS_PER_CLASS.value, seed=_SEED.value
        )
    probe = evaluation.fit_linear_probe(
        features[0][rows],
        labels[0][rows],
        num_classes=train.num_classes or 0,
        l2=_L2.value,
    )
    return {
        "accuracy": evaluation.accuracy(probe, features[1], labels[1]),
        "layer": "h",
        "protocol": evaluation.PROTOCOL,
        "l2": _L2.value,
        "num_labels": len(rows),
        "train": train.name,
        "test": test.name,
        "step": encoder.step,
        "config_digest": training.config_digest(encoder.meta["config"]),
    }


def _write_whole(path: pathlib.Path, result: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, indent=2) + "\n")
    os.replace(temporary, path)
