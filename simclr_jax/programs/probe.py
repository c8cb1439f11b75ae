"""Reads a checkpoint with a linear classifier on its frozen encoder."""

import json
from typing import Any

from absl import flags

from simclr_jax import assembly, data, evaluation, training
from simclr_jax.core import errors, paths

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "The workdir of a pretraining run; the newest step is read."
)
_DATASET = flags.DEFINE_string(
    "dataset", None, "Labeled images, e.g. tfds:mnist; None: those of the run."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS sets lie.")
_STEP = flags.DEFINE_integer("step", None, "Which checkpoint; None: the newest.")
_TRAIN_SPLIT = flags.DEFINE_string("train_split", "train", "E.g. train[:80%].")
_TEST_SPLIT = flags.DEFINE_string("test_split", None, "E.g. train[80%:]; None: test.")
_TEST_SHARE = flags.DEFINE_float(
    "test_share", None, "Holds so much of each class of the train split out as a test."
)
_LABELS_PER_CLASS = flags.DEFINE_integer(
    "labels_per_class", None, "Uses so many labels of each class; None: all."
)
_L2 = flags.DEFINE_float("l2", 1e-3, "Weight of the penalty on the classifier.")
_SEED = flags.DEFINE_integer("seed", 0, "Draws what is held out, or a part of labels.")
_OUTPUT = flags.DEFINE_string(
    "output", None, "The JSON file to write; None: probe.json in the workdir."
)


def main() -> None:
    """Runs the program with the parsed flags."""
    if not _CHECKPOINT.value:
        raise errors.UserError(
            "probe needs --checkpoint=DIR, the workdir of a pretraining run."
        )
    if _TEST_SHARE.value is not None and _TEST_SPLIT.value is not None:
        raise errors.UserError(
            "--test_split and --test_share are both given; expected one of them."
        )
    workdir = paths.local_path(_CHECKPOINT.value, what="checkpoint")
    encoder = assembly.load(workdir, step=_STEP.value)
    # Tried before the work; the workdir may be read-only.
    output = paths.output_file(_OUTPUT.value or workdir / "probe.json", what="--output")
    # The dataset of the run, if no other; its split is that of training.
    dataset = _DATASET.value or data.split_spec(encoder.metadata["source"]["spec"])[0]
    data_dir = _DATA_DIR.value or encoder.metadata["source"]["data_dir"]
    tested = [] if _TEST_SHARE.value is not None else [_TEST_SPLIT.value or "test"]
    opened = [
        _open(data.open_source(dataset, split=split, data_dir=data_dir), encoder)
        for split in [_TRAIN_SPLIT.value, *tested]
    ]
    result = _measure(encoder, opened)
    print(evaluation.describe(result), flush=True)
    paths.write_text(output, json.dumps(result, indent=2) + "\n", what="--output")
    print(f"Written to {output}.")


def _open(source: data.Source, encoder: assembly.LoadedEncoder) -> data.Decoded:
    """Opens the images as the encoder saw those of its training.

    Raises:
      DataError: unless the encoder can read them and there are labels.
    """
    if source.num_classes is None:
        raise errors.DataError(f"{source.name} has no labels; a probe needs them.")
    height, width, channels = encoder.metadata["data"]["image_shape"]
    images = data.open_images(source, canvas=max(height, width), num_channels=channels)
    if images.image_shape[-1] != channels:
        raise errors.DataError(
            f"{source.name} has images of {images.image_shape[-1]} channels; the "
            f"encoder was trained on {encoder.metadata['data']['name']}, with "
            f"{channels}. "
            f"Probe it on images of {channels} channels."
        )
    if images.image_shape != (height, width, channels):
        print(
            f"note: images of {images.image_shape[:2]} pixels are resized to the "
            f"{(height, width)} that the encoder was trained on."
        )
    return images


def _measure(
    encoder: assembly.LoadedEncoder, opened: list[data.Decoded]
) -> dict[str, Any]:
    """Extracts the features once, fits the classifier and measures it."""
    sets = " and ".join(f"{images.name} ({len(images):,})" for images in opened)
    print(
        f"encoder   {encoder.metadata['encoder']['name']} of step {encoder.step}, "
        f"frozen: {evaluation.count_parameters(encoder.module):,} parameters, 0 trainable\n"
        f"data      {sets}",
        flush=True,
    )
    train, test = evaluation.extract_train_and_test(
        encoder.embed_batch,
        opened,
        test_share=_TEST_SHARE.value,
        seed=_SEED.value,
        mesh=training.make_mesh(),
        num_workers=data.default_num_workers(),
    )
    measured = evaluation.measure_linear_probe(
        train,
        test,
        l2=_L2.value,
        labels_per_class=_LABELS_PER_CLASS.value,
        seed=_SEED.value,
    )
    config = encoder.metadata["config"] | {"images": encoder.metadata["data"]}
    identity = {"step": encoder.step, "config_digest": assembly.config_digest(config)}
    return {"layer": "h"} | measured | identity
