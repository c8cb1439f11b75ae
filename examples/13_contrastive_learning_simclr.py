"""SimCLR on handwritten digits, from the first view to the linear probe.

    python examples/13_contrastive_learning_simclr.py

Two random views of each image are pulled together, the views of all other images are
pushed away (Chen et al. 2020, https://arxiv.org/abs/2002.05709). No label is used
until the end, when a linear classifier reads the frozen features.
"""

import argparse
import functools
import sys
import time

import jax
import numpy as np
import tqdm
from flax import nnx

from simclr_jax import (
    assembly,
    augment,
    data,
    encoders,
    evaluation,
    losses,
    methods,
    optim,
    plots,
    training,
)
from simclr_jax.core import checks, errors, keys, sharding
from simclr_jax.programs import cli

CPU_STEPS = 936  # about four minutes on two cores, evaluation included
SPLITS = ("train", "test")
VIEW = 24  # side of a view in pixels
FIT = {"size": VIEW, "proportion": 0.8}  # how a digit of 28 becomes one of 24


def parse_arguments():
    """Returns the flags."""
    parser = argparse.ArgumentParser(description="SimCLR on handwritten digits.")
    names = ("mnist", "fashion_mnist", "kmnist", "mnist_sample")
    parser.add_argument("--dataset", default="mnist", choices=names)
    parser.add_argument("--data_dir", help="where TFDS sets lie (default: TFDS's own)")
    parser.add_argument("--epochs", type=int, help="default: 30, fewer on a CPU")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--learning_rate", type=float, default=6e-3)
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workdir", default="runs/simclr_example")
    return parser.parse_args()


def open_data(dataset, data_dir):
    """Returns the training and the test images, decoded, and where they come from."""
    spec = dataset if dataset == "mnist_sample" else f"tfds:{dataset}"
    try:
        splits = [data.open_source(spec, split=x, data_dir=data_dir) for x in SPLITS]
        train, test = (data.read_all(data.open_images(split)) for split in splits)
        return train, test, spec
    except errors.DataError as error:
        if data_dir or dataset != "mnist":
            raise
        print(f"{error}\n\nUsing mnist_sample instead: 5,000 digits, in a package.\n")
        return open_data("mnist_sample", None)


def main():
    """Trains, evaluates, and saves pictures and a checkpoint."""
    args = parse_arguments()
    training.use_cpu_cores(args.batch_size)
    workdir = training.prepare_workdir(args.workdir)
    train, test, source = open_data(args.dataset, args.data_dir)
    order = data.BatchOrder(len(train), args.batch_size, sys.maxsize, args.seed)
    epochs = 30 if args.epochs is None else args.epochs
    checks.check_positive_int("epochs", epochs)
    if args.epochs is None and jax.default_backend() == "cpu":
        epochs = max(1, round(CPU_STEPS / order.steps_per_epoch))
        print(f"No accelerator: {epochs} epochs, which takes about four minutes.")
    num_steps = epochs * order.steps_per_epoch

    # The method: encoder -> h, projection head -> z, NT-Xent on z.
    mesh = training.make_mesh()
    training.check_batch_size(args.batch_size, mesh)
    rngs = nnx.Rngs(keys.stream(args.seed, "init"))
    encoder = encoders.build("convnet", image_shape=(VIEW, VIEW, 1), rngs=rngs)
    recipe = augment.mnist(size=VIEW)
    method = methods.SimCLR(
        encoder,
        augmentation=recipe,
        temperature=args.temperature,
        head={"hidden_dim": 128, "output_dim": 64, "batch_norm": False},
        rngs=rngs,
    )
    schedule = optim.warmup_cosine(
        args.learning_rate, num_steps=num_steps, warmup_steps=num_steps // 20
    )
    adam = functools.partial(optim.build, "adam", schedule)
    state = training.start_from(method, lambda x: adam(params=x), mesh=mesh)

    # Training. The images are on the device; batch t is a function of (seed, t).
    batches = data.Batches(train, order, mesh).start_at(0)
    step, graphdef, arrays = training.train_step, state.graphdef, state.arrays
    how = sharding.Execution(mesh)
    key = training.place(keys.stream(args.seed, "views"), mesh)
    writer = training.metrics.JsonLinesWriter(workdir / "metrics.jsonl")
    history = []
    print(f"Training for {epochs} epochs...", flush=True)
    for epoch in range(1, epochs + 1):
        start = time.monotonic()
        recent = []
        bar = {"unit": "images", "unit_scale": args.batch_size, "leave": False}
        for _ in tqdm.trange(order.steps_per_epoch, disable=None, **bar):
            arrays, metrics = step(graphdef, how, arrays, next(batches), key)
            recent.append(metrics["loss"])
            recent[-3:][0].block_until_ready()  # the host is two steps ahead at most
        for loss in map(float, recent):
            history.append(loss)
            writer.write(len(history), {"loss": loss})
        mean, seconds = np.mean(history[-len(recent) :]), time.monotonic() - start
        line = f"Epoch {epoch}/{epochs} | Loss: {mean:.4f} | Time: {seconds:.2f}s"
        print(line, flush=True)
    print("✓ Training completed!")
    state = training.TrainState(graphdef, arrays)
    trained = state.method()
    assembly.save_checkpoint(
        workdir,
        state,
        step=num_steps,
        images=train,
        source=source,
        data_dir=args.data_dir,
        evaluation=FIT,
    )

    # Linear evaluation on frozen features: of h, and of z to show why it is dropped.
    print("LINEAR EVALUATION", flush=True)

    def features_of(module):
        embed = evaluation.freeze(module, augment.evaluation(**FIT))
        return [evaluation.extract(embed, x, mesh=mesh)[0] for x in (train, test)]

    h = features_of(trained.encoder)
    layers = {
        "pixels": [np.float32(x.images.reshape(len(x), -1)) for x in (train, test)],
        "random encoder": features_of(method.encoder),
        "learned h": h,
        "learned z": [np.asarray(trained.head(x)) for x in h],
    }
    table = {name: measure(x, train, test) for name, x in layers.items()}
    print(f"Test Accuracy: {table['learned h'][0]:.4f}  (h, the encoder's output)")
    print(f"Test Accuracy: {table['learned z'][0]:.4f}  (z, the projection)")
    print(f"\n{'':<16}{'all labels':>12}{'100 labels':>12}")
    for name, (with_all, with_few) in table.items():
        print(f"{name:<16}{with_all:>12.4f}{with_few:>12.4f}")
    save_pictures(workdir, train, test, recipe, h[1], history, args)
    print(f"Checkpoint: {workdir / 'checkpoints'}")


def measure(features, train, test):
    """Returns the accuracy with all labels, and with 100 as the mean of 3 draws."""

    def fit(rows):
        probe = evaluation.fit_linear_probe(
            features[0][rows], train.labels[rows], num_classes=10
        )
        return evaluation.accuracy(probe, features[1], test.labels)

    draw = functools.partial(evaluation.take_per_class, train.labels, num_per_class=10)
    return fit(slice(None)), np.mean([fit(draw(seed=seed)) for seed in range(3)])


def save_pictures(workdir, train, test, recipe, test_features, history, args):
    """Draws what the encoder saw, how the loss fell and what came of it."""
    originals = augment.as_float(train.images[:: len(train) // 6][:6])
    keys = jax.random.split(jax.random.key(args.seed), (6, 7))
    views = jax.vmap(jax.vmap(recipe, in_axes=(0, None)))(keys, originals)
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
    plots.save_class_map(map_path, test_features[rows], test.labels[rows], title=title)
    print(f"\nPictures: {views_path}, {loss_path}, {map_path}")


if __name__ == "__main__":
    sys.exit(cli.guard(main))
