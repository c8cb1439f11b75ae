"""Flags, data, log, accuracies and pictures of ``13_contrastive_learning_simclr.py``.

The example shows the method and the training loop; what surrounds them is here.
"""

import argparse
import functools
import time
from typing import NamedTuple

import jax
import numpy as np
import tqdm

from simclr_jax import assembly, augment, data, evaluation, losses, plots, training
from simclr_jax.core import checks, errors

CPU_STEPS = 936  # four to five minutes on two cores, evaluation included
DATASETS = ("mnist", "fashion_mnist", "kmnist", "mnist_sample")
FIT = {"size": 24, "proportion": 0.8}  # preprocessing of a test image: 28 to 24 pixels


class Digits(NamedTuple):
    """Training images, test images, and where they come from."""

    train: data.ArraySource
    test: data.ArraySource
    source: str
    data_dir: str | None


def parse_arguments():
    """Returns the flags."""
    parser = argparse.ArgumentParser(description="SimCLR on handwritten digits.")
    parser.add_argument("--dataset", default="mnist", choices=DATASETS)
    parser.add_argument("--data_dir", help="where TFDS sets lie (default: TFDS's own)")
    parser.add_argument("--epochs", type=int, help="default: 30, fewer on a CPU")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--learning_rate", type=float, default=6e-3)
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workdir", default="runs/simclr_example")
    return parser.parse_args()


def prepare(args):
    """Makes the working directory and a mesh of all devices, which split a batch."""
    training.use_cpu_cores(args.batch_size)
    workdir = training.prepare_workdir(args.workdir)
    mesh = training.make_mesh()
    training.check_batch_size(args.batch_size, mesh)
    return workdir, mesh


def open_digits(dataset, data_dir):
    """Opens a data set; falls back to ``mnist_sample`` where MNIST is not prepared."""
    source = dataset if dataset == "mnist_sample" else f"tfds:{dataset}"
    splits = ("train", "test")
    try:
        opened = [data.open_source(source, split=x, data_dir=data_dir) for x in splits]
        train, test = (data.read_all(data.open_images(split)) for split in opened)
        return Digits(train, test, source, data_dir)
    except errors.DataError as error:
        if data_dir or dataset != "mnist":
            raise
        print(f"{error}\n\nUsing mnist_sample instead: 5,000 digits, in a package.\n")
        return open_digits("mnist_sample", None)


def choose_epochs(epochs, steps_per_epoch):
    """Returns the requested number of epochs; by default 30, fewer on a CPU."""
    if epochs is None and jax.default_backend() == "cpu":
        epochs = max(1, round(CPU_STEPS / steps_per_epoch))
        print(f"No accelerator: {epochs} epochs, which takes four to five minutes.")
    epochs = 30 if epochs is None else epochs
    checks.check_positive_int("epochs", epochs)
    return epochs


class Log:
    """Prints a line for each epoch and writes every loss to ``metrics.jsonl``."""

    def __init__(self, workdir, num_epochs, batch_size):
        """Opens the file and prints the number of epochs."""
        self.history = []  # the loss of every step of the epochs that have ended
        self._recent = []
        self._writer = training.metrics.JsonLinesWriter(workdir / "metrics.jsonl")
        self._num_epochs, self._batch_size = num_epochs, batch_size
        self._epoch = 0
        print(f"Training for {num_epochs} epochs...", flush=True)

    def epoch(self, num_steps):
        """Yields the steps of an epoch, with a bar on a terminal."""
        self._epoch += 1
        start, self._recent = time.monotonic(), []
        bar = {"unit": "images", "unit_scale": self._batch_size, "leave": False}
        yield from tqdm.trange(num_steps, disable=None, **bar)
        for loss in map(float, self._recent):
            self.history.append(loss)
            self._writer.write(len(self.history), {"loss": loss})
        mean, seconds = np.mean(self.history[-num_steps:]), time.monotonic() - start
        name = f"Epoch {self._epoch}/{self._num_epochs}"
        print(f"{name} | Loss: {mean:.4f} | Time: {seconds:.2f}s", flush=True)
        if self._epoch == self._num_epochs:
            print("✓ Training completed!")

    def add(self, loss):
        """Keeps the loss of a step, which stays on the device until the epoch ends."""
        self._recent.append(loss)
        self._recent[-3:][0].block_until_ready()  # the host is two steps ahead at most


def report(args, workdir, digits, state, untrained, history, mesh):
    """Saves a checkpoint, prints the accuracy of linear classifiers, draws pictures.

    Args:
      args: the flags.
      workdir: where the checkpoint and the pictures go.
      digits: the images.
      state: the trained method and its optimizer.
      untrained: the method before training.
      history: the loss of every step.
      mesh: the devices.
    """
    train, test, source, data_dir = digits
    assembly.save_checkpoint(
        workdir,
        state,
        step=len(history),
        images=train,
        source=source,
        data_dir=data_dir,
        evaluation=FIT,
    )
    print("LINEAR EVALUATION", flush=True)
    layers = extract_layers(state.method(), untrained, train, test, mesh=mesh)
    table = {name: measure(x, train, test) for name, x in layers.items()}
    print(f"Test Accuracy: {table['learned h'][0]:.4f}  (h, the encoder's output)")
    print(f"Test Accuracy: {table['learned z'][0]:.4f}  (z, the projection)")
    print(f"\n{'':<16}{'all labels':>12}{'100 labels':>12}")
    for name, (with_all, with_few) in table.items():
        print(f"{name:<16}{with_all:>12.4f}{with_few:>12.4f}")
    h_of_test = layers["learned h"][1]
    save_pictures(
        args, workdir, digits, untrained.augmentation, history=history, h=h_of_test
    )
    print(f"Checkpoint: {workdir / 'checkpoints'}")


def extract_layers(trained, untrained, train, test, *, mesh):
    """Returns features of the training and the test images, by the name of a layer.

    The projection z is listed to show why it is not used after training: h is better.
    """

    def features_of(module):
        embed = evaluation.freeze(module, augment.evaluation(**FIT))
        return [evaluation.extract(embed, x, mesh=mesh)[0] for x in (train, test)]

    h = features_of(trained.encoder)
    return {
        "pixels": [np.float32(x.images.reshape(len(x), -1)) for x in (train, test)],
        "random encoder": features_of(untrained.encoder),
        "learned h": h,
        "learned z": [np.asarray(trained.head(x)) for x in h],
    }


def measure(features, train, test):
    """Returns the accuracy with all labels, and with 100 as the mean of 3 draws."""

    def fit(rows):
        probe = evaluation.fit_linear_probe(
            features[0][rows], train.labels[rows], num_classes=10
        )
        return evaluation.accuracy(probe, features[1], test.labels)

    draw = functools.partial(evaluation.take_per_class, train.labels, num_per_class=10)
    return fit(slice(None)), np.mean([fit(draw(seed=seed)) for seed in range(3)])


def save_pictures(args, workdir, digits, augmentation, *, history, h):
    """Draws some views, the loss over the run, and a map of the test images."""
    train, test = digits.train, digits.test
    originals = augment.as_float(train.images[:: len(train) // 6][:6])
    keys = jax.random.split(jax.random.key(args.seed), (6, 7))
    views = jax.vmap(jax.vmap(augmentation, in_axes=(0, None)))(keys, originals)
    chance = losses.chance_loss(args.batch_size)
    floor = losses.floor_loss(args.batch_size, temperature=args.temperature)
    title = "h of 1,000 test images (t-SNE), colored by class"
    rows = slice(None, None, max(1, len(test) // 1000))
    views_path, loss_path, map_path = (
        workdir / f"{name}.png" for name in ("views", "loss", "map")
    )
    plots.save_view_grid(views_path, np.asarray(originals), np.asarray(views))
    steps = range(1, len(history) + 1)
    plots.save_loss_curve(loss_path, steps, history, chance=chance, floor=floor)
    plots.save_class_map(map_path, h[rows], test.labels[rows], title=title)
    print(f"\nPictures: {views_path}, {loss_path}, {map_path}")
