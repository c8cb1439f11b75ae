"""Accuracy of every method after the same number of steps on the same digits.

    python -m benchmarks.methods --epochs=30

Each row is one run of ``--config=mnist:METHOD`` on ``mnist_sample`` (4,000 training and
1,000 test digits) in a temporary working directory. The columns are measured on the
features h of the frozen encoder: accuracy of a linear classifier with all labels and
with 100 labels (mean of 3 draws); accuracy of 20 nearest neighbors (cosine, temperature
0.07); and two measures of collapse: the standard deviation of the normalized features
times sqrt(d) (1: spread over the sphere, 0: collapsed), and the effective rank (RankMe,
https://arxiv.org/abs/2210.02885).
"""

import argparse
import json
import pathlib
import tempfile

import jax
import numpy as np

from benchmarks import machine
from simclr_jax import assembly, augment, evaluation, training

SPLITS = ("train", "test")
METHODS = ("simclr", "supcon", "byol", "moco")
PREPROCESSING = {"size": 24, "proportion": 0.8}


def main():
    """Trains and evaluates every method, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    training.use_cpu_cores(128)
    print(machine.header("flax", "optax"))
    print(
        f"mnist_sample, {args.epochs} epochs of 31 steps, batch 128, seed {args.seed}\n"
    )
    names = ("linear, all", "linear, 100", "kNN", "std", "rank", "loss", "s/step")
    print(f"{'':<16}" + "".join(f"{name:>13}" for name in names), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, method in enumerate(args.methods):
            run = assembly.assemble(make_config(method, args))
            if number == 0:
                show("pixels", read(pixels, run))
                state = run.initial_state()
                show("random encoder", read(embedder(state.method()), run))
            workdir = training.prepare_workdir(pathlib.Path(folder, method))
            state, _ = run.train(workdir)
            rows = (workdir / "metrics.jsonl").read_text().splitlines()
            metrics = [json.loads(row) for row in rows]
            rates = [row["images_per_second"] for row in metrics[1:]]
            seconds = run.config.batch_size / float(np.median(rates))
            measured = read(embedder(state.method()), run)
            show(method, [*measured, metrics[-1]["loss"], seconds])


def make_config(method, args):
    """Returns the config of a method on ``mnist_sample``."""
    config = assembly.load_config("mnist" if method == "simclr" else f"mnist:{method}")
    config.data.source = "mnist_sample"
    config.epochs = args.epochs
    config.seed = args.seed
    assembly.config.check(config)
    return config


def embedder(method):
    """Returns a function from stored images to the features h of the frozen encoder."""
    preprocess = augment.evaluation(**PREPROCESSING)
    return evaluation.freeze(method, preprocess, layer="embed")


def pixels(images):
    """Returns the pixels as features, a baseline."""
    return jax.numpy.asarray(images, np.float32).reshape(len(images), -1) / 255


def read(embed, run):
    """Returns the accuracies and the measures of collapse of some features."""
    sets = [assembly.open_images(run.config, split=split) for split in SPLITS]
    (train, labels), (test, test_labels) = (
        evaluation.extract(embed, images) for images in sets
    )

    def linear(rows):
        probe = evaluation.fit_linear_probe(train[rows], labels[rows], num_classes=10)
        return evaluation.accuracy(probe, test, test_labels)

    draws = [
        evaluation.take_per_class(labels, num_per_class=10, seed=seed)
        for seed in range(3)
    ]
    neighbors = evaluation.knn_predict(
        train, labels, test, k=20, temperature=0.07, num_classes=10
    )
    return [
        linear(slice(None)),
        float(np.mean([linear(rows) for rows in draws])),
        float(np.mean(np.asarray(neighbors) == test_labels)),
        *collapse(test),
    ]


def collapse(features):
    """Computes the spread of the directions and the effective rank, in float64."""
    features = features.astype(np.float64)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    spread = np.sqrt(np.mean(np.var(unit, axis=0)) * unit.shape[1])
    values = np.linalg.svd(features, compute_uv=False)
    share = values / values.sum() + 1e-7
    return float(spread), float(np.exp(-np.sum(share * np.log(share))))


def show(name, values):
    """Prints a row of the table."""
    formats = (".4f", ".4f", ".4f", ".3f", ".1f", ".4f", ".3f")
    cells = [f"{value:>13{form}}" for value, form in zip(values, formats, strict=False)]
    print(f"{name:<16}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
