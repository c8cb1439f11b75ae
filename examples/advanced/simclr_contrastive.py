"""SimCLR with a ResNet-18 on small color images, from a config to a linear probe.

    python examples/advanced/simclr_contrastive.py --data_dir=DIR    # CIFAR-10
    python examples/advanced/simclr_contrastive.py --dataset=folder:PATH
    python examples/advanced/simclr_contrastive.py --smoke           # one minute

The recipe is configs/cifar10.py (Chen et al. 2020, appendix B.9,
https://arxiv.org/abs/2002.05709): ResNet-18 with the small-image stem, crop, flip and
color distortion of half strength, NT-Xent, SGD or LARS. This file builds a run from
that config, then trains, saves and evaluates it with a loop of its own.
"""

import argparse
import sys
import time

import jax
import numpy as np
import tqdm

from simclr_jax import assembly, augment, data, evaluation, losses, plots, training
from simclr_jax.core import checks, errors
from simclr_jax.programs import cli

LARS = {
    "name": "lars",
    "weight_decay": 1e-4,
    "trust_coefficient": 0.001,
    "learning_rate_scaling": "linear",
    "rules": (),
}
LEARNING_RATES = {"lars": 1.0, "sgd": 0.06}  # for a batch of 256, 100 epochs


def parse_arguments():
    """Returns the flags."""
    parser = argparse.ArgumentParser(description="SimCLR on small color images.")
    parser.add_argument("--dataset", default="tfds:cifar10", help="or folder:PATH, ...")
    parser.add_argument("--data_dir", help="where TFDS sets lie (default: TFDS's own)")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--batch_size", type=int, default=512)
    parser.add_argument("--optimizer", default="sgd", choices=sorted(LEARNING_RATES))
    parser.add_argument("--learning_rate", type=float, help="for a batch of 256")
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workdir", default="runs/simclr_contrastive")
    parser.add_argument("--smoke", action="store_true", help="a minute, on noise")
    return parser.parse_args()


def make_config(args):
    """Returns the config of configs/cifar10.py, changed by the flags."""
    checks.check_positive_int("epochs", args.epochs)
    config: assembly.Config = assembly.load_config("cifar10")
    config.data.update({"source": args.dataset, "data_dir": args.data_dir})
    for name in ("epochs", "batch_size", "seed"):
        config[name] = getattr(args, name)
    config.method.temperature = args.temperature
    if args.optimizer == "lars":
        warmup_epochs = min(10.0, args.epochs / 10)
        config.optimizer = {**LARS, "warmup_epochs": warmup_epochs}
    rate = args.learning_rate or LEARNING_RATES[args.optimizer]
    config.optimizer["learning_rate"] = rate
    if args.smoke:
        config.update({"epochs": 2, "batch_size": 32, "compute_dtype": "float32"})
        config.data.source = "synthetic:32x32x3:128"
    assembly.config.check(config)
    return config


def main():
    """Trains, saves a checkpoint and evaluates it."""
    args = parse_arguments()
    config = make_config(args)
    training.use_cpu_cores(config.batch_size)
    workdir = training.prepare_workdir(args.workdir)
    run = assembly.assemble(config)
    state = run.initial_state()
    untrained = run.initial_state()
    print(f"Training for {config.epochs} epochs...", flush=True)
    state, history = train(run, state, workdir)
    print("✓ Training completed!")
    folder = workdir / "checkpoints"
    training.checkpoints.set_aside(folder, suffix="old")  # those of an earlier run
    checkpoints = training.checkpoints.Checkpoints(folder)
    checkpoints.save(len(history), state.items(), run.metadata())
    checkpoints.close()
    save_pictures(run, workdir, history)

    print("LINEAR EVALUATION", flush=True)
    splits = open_splits(config)
    if splits is not None:
        learned = linear_accuracy(run, state, splits)
        random = linear_accuracy(run, untrained, splits)
        print(f"Test Accuracy: {learned:.4f}  (h, the encoder's output)")
        print(f"Test Accuracy: {random:.4f}  (h of the random encoder)")
    print(f"Checkpoint: {folder}")


def train(run, state, workdir):
    """Trains the method; returns its state and the loss of every step."""
    graphdef, arrays = state.graphdef, state.arrays
    key = training.place(assembly.root_key(run.config), run.mesh)
    batches = run.batches.start_at(0)
    writer = training.metrics.JsonLinesWriter(workdir / "metrics.jsonl")
    history = []
    steps, epochs = run.length.steps_per_epoch, run.config.epochs
    for epoch in range(1, epochs + 1):
        start, pending = time.monotonic(), []
        with tqdm.tqdm(total=steps * run.config.batch_size, disable=None) as bar:
            for _ in range(steps):
                arrays, metrics = training.train_step(
                    graphdef, run.execution, arrays, next(batches), key
                )
                pending.append(metrics["loss"])
                pending[-3:][0].block_until_ready()  # at most two steps ahead
                bar.update(run.config.batch_size)
        for loss in map(float, pending):
            history.append(loss)
            writer.write(len(history), {"loss": loss})
        mean, seconds = np.mean(history[-steps:]), time.monotonic() - start
        print(
            f"Epoch {epoch}/{epochs} | Loss: {mean:.4f} | Time: {seconds:.2f}s",
            flush=True,
        )
    return training.TrainState(graphdef, arrays), history


def open_splits(config):
    """Opens the labeled training and test images; None where there are none."""
    opened = []
    source, _ = data.split_spec(config.data.source)
    for split in ("train", "test"):
        try:
            images = assembly.open_images(config, source=source, split=split)
        except errors.DataError as error:
            print(f"No linear evaluation: {error}")
            return None
        if images.num_classes is None:
            print(f"No linear evaluation: {images.name} has no labels.")
            return None
        opened.append(images)
    return opened


def linear_accuracy(run, state, splits):
    """Returns the test accuracy of a linear classifier on the frozen encoder."""
    preprocess = assembly.build_evaluation(run.config)
    embed = evaluation.freeze(state.method(), preprocess, layer="embed")
    train, test = (evaluation.extract(embed, x, mesh=run.mesh) for x in splits)
    probe = evaluation.fit_linear_probe(*train, num_classes=splits[0].num_classes)
    return evaluation.accuracy(probe, *test)


def save_pictures(run, workdir, history):
    """Draws some views and the loss over the run."""
    config, samples = run.config, run.images.read(range(6))
    images = data.to_devices(samples, is_padded=run.images.is_padded)
    recipe = assembly.build_augmentation(config)
    keys = augment.sample_keys(jax.random.key(config.seed), 6)
    (views,) = augment.views(keys, images, recipe)
    paths = [workdir / "views.png", workdir / "loss.png"]
    plots.save_view_grid(paths[0], samples["images"] / np.float32(255), np.array(views))
    plots.save_loss_curve(
        paths[1],
        range(1, len(history) + 1),
        history,
        chance=losses.chance_loss(config.batch_size),
        floor=losses.floor_loss(
            config.batch_size, temperature=config.method.temperature
        ),
    )
    print(f"Pictures: {paths[0]}, {paths[1]}")


if __name__ == "__main__":
    sys.exit(cli.guard(main))
