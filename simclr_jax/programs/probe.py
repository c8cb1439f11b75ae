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
    training.use_cpu_cores(None)
    workdir = pathlib.Path(_CHECKPOINT.value)
    encoder = assembly.restore_encoder(workdir, step=_STEP.value)
    # The dataset of the run, if no other; its split is that of training.
    dataset = _DATASET.value or data.split_spec(encoder.config.data.source)[0]
    data_dir = _DATA_DIR.value or encoder.config.data.data_dir
    splits = [
        _open(data.open_source(dataset, split=split, data_dir=data_dir), encoder)
        for split in (_TRAIN_SPLIT.value, _TEST_SPLIT.value)
    ]
    result = _measure(encoder, *splits)
    output = pathlib.Path(_OUTPUT.value or workdir / "probe.json")
    _write_whole(output, result)
    print(f"Test Accuracy: {result['accuracy']:.4f}\nWritten to {output}.")


def _open(source: data.Source, encoder: assembly.RestoredEncoder) -> data.Decoded:
    """Opens the images as the encoder saw those of its training.

    Raises:
      DataError: unless the encoder can read them and there are labels.
    """
    if source.num_classes is None:
        raise errors.DataError(f"{source.name} has no labels; a probe needs them.")
    height, width, channels = encoder.meta["data"]["image_shape"]
    images = data.open_images(source, canvas=max(height, width), num_channels=channels)
    if images.image_shape[-1] != channels:
        raise errors.DataError(
            f"{source.name} has images of {images.image_shape[-1]} channels; the "
            f"encoder was trained on {encoder.meta['data']['name']} with {channels}. "
            f"Probe it on images of {channels} channels."
        )
    if images.image_shape != (height, width, channels):
        print(
            f"note: images of {images.image_shape[:2]} pixels are resized to the "
            f"{(height, width)} that the encoder was trained on."
        )
    return images


def _measure(
    encoder: assembly.RestoredEncoder, train: data.Decoded, test: data.Decoded
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
    num_workers = data.default_num_workers()
    (features, labels), (test_features, test_labels) = (
        evaluation.extract(embed, images, mesh=mesh, num_workers=num_workers)
        for images in (train, test)
    )
    rows = np.arange(len(train))
    if _LABELS_PER_CLASS.value is not None:
        rows = evaluation.take_per_class(
            labels, num_per_class=_LABELS_PER_CLASS.value, seed=_SEED.value
        )
    probe = evaluation.fit_linear_probe(
        features[rows],
        labels[rows],
        num_classes=train.num_classes or 0,
        l2=_L2.value,
    )
    return {
        "accuracy": evaluation.accuracy(probe, test_features, test_labels),
        "layer": "h",
        "protocol": evaluation.PROTOCOL,
        "l2": _L2.value,
        "num_labels": len(rows),
        "train": train.name,
        "test": test.name,
        "step": encoder.step,
        "config_digest": training.config_digest(
            encoder.meta["config"] | {"images": encoder.meta["data"]}
        ),
    }


def _write_whole(path: pathlib.Path, result: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, indent=2) + "\n")
    os.replace(temporary, path)
