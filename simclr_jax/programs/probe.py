"""Evaluate a checkpoint: train a linear classifier on the frozen encoder, and test it.

Prints the accuracy and writes it to ``probe.json`` in the workdir.
"""

import json
from typing import Any

from absl import flags

from simclr_jax import assembly, data, evaluation, training
from simclr_jax.core import errors, paths

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "Workdir of a pretraining run; its newest checkpoint is read."
)
_DATASET = flags.DEFINE_string(
    "dataset", None, "Labeled images, e.g. tfds:mnist; None: those of the training run."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the TFDS data sets.")
_LABEL = flags.DEFINE_string(
    "label",
    None,
    "Column of the labels; None: as in the training run, or the usual names.",
)
_STEP = flags.DEFINE_integer(
    "step", None, "Step of the checkpoint to read; None: the newest."
)
_TRAIN_SPLIT = flags.DEFINE_string(
    "train_split", "train", "Split to train the classifier on, e.g. train[:80%]."
)
_TEST_SPLIT = flags.DEFINE_string(
    "test_split", None, "Split to test it on, e.g. train[80%:]; None: test."
)
_TEST_SHARE = flags.DEFINE_float(
    "test_share",
    None,
    "Fraction of each class of the train split, in (0, 1), to hold out for the test.",
)
_LABELS_PER_CLASS = flags.DEFINE_integer(
    "labels_per_class",
    None,
    "Number of labeled images per class to train on; None: all.",
)
_L2 = flags.DEFINE_float("l2", 1e-3, "Weight of the L2 penalty on the classifier.")
_SEED = flags.DEFINE_integer(
    "seed", 0, "Random seed of --test_share and --labels_per_class."
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "JSON file to write; None: probe.json in the workdir."
)


def main() -> None:
    """Runs the program; the flags must be parsed."""
    if not _CHECKPOINT.value:
        raise errors.UserError(
            "probe needs --checkpoint=DIR, the workdir of a pretraining run."
        )
    if _TEST_SHARE.value is not None and _TEST_SPLIT.value is not None:
        raise errors.UserError(
            "--test_split and --test_share are both given; expected only one of them."
        )
    training.use_cpu_cores(None)
    workdir = paths.local_path(_CHECKPOINT.value, what="checkpoint")
    encoder = assembly.load(workdir, step=_STEP.value)
    # Checked before the work; the workdir may be read-only.
    output = paths.output_file(_OUTPUT.value or workdir / "probe.json", what="--output")
    tested = [] if _TEST_SHARE.value is not None else [_TEST_SPLIT.value or "test"]
    opened = [_open(encoder, split) for split in [_TRAIN_SPLIT.value, *tested]]
    result = _measure(encoder, opened)
    print(evaluation.describe(result), flush=True)
    paths.write_text(output, json.dumps(result, indent=2) + "\n", what="--output")
    print(f"Written to {output}.")


def _open(encoder: assembly.LoadedEncoder, split: str) -> data.Dataset:
    """Opens labeled images, decoded like the images of the training run.

    Raises:
      DataError: if the encoder cannot read them, or if they have no labels.
    """
    images = encoder.open_images(
        _DATASET.value, split=split, data_dir=_DATA_DIR.value, label=_LABEL.value
    )
    if images.num_classes is None:
        raise errors.DataError(f"{images.name} has no labels; a probe needs them.")
    height, width, _ = encoder.metadata["encoder"]["stored_shape"]
    if images.image_shape[:2] != (height, width):
        print(
            f"note: images of {images.image_shape[:2]} pixels are resized to the "
            f"{(height, width)} that the encoder was trained on."
        )
    return images


def _measure(
    encoder: assembly.LoadedEncoder, opened: list[data.Dataset]
) -> dict[str, Any]:
    """Extracts the features, trains the classifier and tests it."""
    sets = " and ".join(f"{images.name} ({len(images):,})" for images in opened)
    print(
        f"encoder   {encoder.metadata['encoder']['name']} of step {encoder.step}, "
        f"frozen: {evaluation.count_parameters(encoder.module):,} parameters, "
        "0 trainable\n"
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
    identity = {
        "step": encoder.step,
        "config_digest": assembly.config.config_digest(config),
    }
    return {"layer": "h"} | measured | identity
