"""SimCLR on handwritten digits, from the first view to the linear probe.

    python examples/13_contrastive_learning_simclr.py

Two random views of each image are pulled together, the views of all other images are
pushed away (Chen et al. 2020, https://arxiv.org/abs/2002.05709). No label is used
until the end, when a linear classifier reads the frozen features.
"""

import argparse
import pathlib
import sys
import time

import jax
import numpy as np
import tqdm
from flax import nnx

from simclr_jax import (
    augment,
    data,
    encoders,
    evaluation,
    heads,
    losses,
    methods,
    optim,
    plots,
    training,
)
from simclr_jax.core import checks, errors
from simclr_jax.programs import cli

DATASETS = ("mnist", "fashion_mnist", "kmnist", "mnist_sample")
CPU_STEPS = 420  # about four minutes on two cores, evaluation included
VIEW = 24  # pixels; the digits lie in the central 20 of 28


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="mnist", choices=DATASETS)
    parser.add_argument("--data_dir", help="where TFDS sets lie (default: TFDS's own)")
    parser.add_argument("--epochs", type=int, help="default: 30, fewer on a CPU")
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--learning_rate", type=float, default=2e-3)
    parser.add_argument("--temperature", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workdir", default="runs/simclr_example")
    return parser.parse_args()


def open_data(args):
    """Returns the training and the test images, decoded, in memory."""
    spec = args.dataset if args.dataset == "mnist_sample" else f"tfds:{args.dataset}"
    try:
        sources = [
            data.open_source(spec, split=split, data_dir=args.data_dir)
            for split in ("train", "test")
        ]
    except errors.DataError as error:
        if args.data_dir or args.dataset != "mnist":
            raise
        print(f"{error}\n\nUsing mnist_sample instead: 5,000 digits, in a package.\n")
        return open_data(argparse.Namespace(**vars(args) | {"dataset": "mnist_sample"}))
    return [data.read_all(source) for source in sources]


def main():
    args = parse_arguments()
    workdir = training.prepare_workdir(pathlib.Path(args.workdir))
    train, test = open_data(args)
    on_cpu = jax.default_backend() == "cpu"
    steps_per_epoch = len(train) // args.batch_size
    epochs = 30 if args.epochs is None else args.epochs
    checks.check_positive_int("epochs", epochs)
    if args.epochs is None and on_cpu:
        epochs = max(1, round(CPU_STEPS / steps_per_epoch))
        print(f"No accelerator: {epochs} epochs instead of 30, about four minutes.")
    num_steps = epochs * steps_per_epoch

    # The method: encoder -> h, projection head -> z, NT-Xent on z.
    rngs = nnx.Rngs(args.seed)
    mesh = training.make_mesh()
    training.check_batch_size(args.batch_size, mesh)
    encoder = encoders.ConvNet(image_shape=(VIEW, VIEW, 1), rngs=rngs)
    head = heads.ProjectionHead(
        encoder.feature_dim, hidden_dim=128, output_dim=64, batch_norm=False, rngs=rngs
    )
    recipe = augment.mnist(size=VIEW)
    method = methods.SimCLR(
        encoder, head, augmentation=recipe, temperature=args.temperature, mesh=mesh
    )
    untrained = nnx.clone(method, arrays=True)
    schedule = optim.warmup_cosine(
        args.learning_rate, num_steps=num_steps, warmup_steps=min(23, num_steps // 2)
    )
    adam = optim.build("adam", schedule, params={})
    optimizer = nnx.Optimizer(method, adam, wrt=method.trainable)

    # Training. The images are on the device; batch t is a function of (seed, t).
    order = data.BatchOrder(len(train), args.batch_size, num_steps, args.seed)
    batches = data.Batches(train, order, mesh).start_at(0)
    graphdef, arrays = nnx.split((method, optimizer))
    arrays = jax.device_put(arrays, training.replicated(mesh))
    key = jax.device_put(jax.random.key(args.seed), training.replicated(mesh))
    writer = training.JsonLinesWriter(workdir / "metrics.jsonl")
    history = []
    print(f"Training for {epochs} epochs...")
    for epoch in range(1, epochs + 1):
        start = time.monotonic()
        recent = []
        bar = tqdm.trange(
            steps_per_epoch,
            desc=f"Epoch {epoch}/{epochs}",
            unit="images",
            unit_scale=args.batch_size,
            leave=False,
            disable=not sys.stderr.isatty(),
        )
        for _ in bar:
            arrays, metrics = training.train_step(graphdef, arrays, next(batches), key)
            recent.append(metrics["loss"])
            jax.block_until_ready(recent[-3:][0])  # at most two steps ahead
        recent = [float(loss) for loss in recent]
        for loss in recent:
            history.append(loss)
            writer.write(len(history), {"loss": loss})
        seconds = time.monotonic() - start
        mean = np.mean(recent)
        print(f"Epoch {epoch}/{epochs} | Loss: {mean:.4f} | Time: {seconds:.2f}s")
    print("✓ Training completed!")
    method, optimizer = nnx.merge(graphdef, arrays)

    # Linear evaluation on frozen features: of h, and of z to show why it is dropped.
    print("LINEAR EVALUATION")
    crop = augment.evaluation(size=VIEW, fit="crop")
    layers = {
        "pixels": None,
        "random encoder": evaluation.freeze(untrained, crop, layer="embed"),
        "learned h": evaluation.freeze(method, crop, layer="embed"),
        "learned z": evaluation.freeze(method, crop, layer="project"),
    }
    table, features = {}, {}
    for name, embed in layers.items():
        features[name] = [
            images.images.reshape(len(images), -1).astype(np.float32)
            if embed is None
            else evaluation.extract(embed, images.images, mesh=mesh)
            for images in (train, test)
        ]
        table[name] = measure(*features[name], train.labels, test.labels)
    print(f"Test Accuracy: {table['learned h'][0]:.4f}  (h, the encoder's output)")
    print(f"Test Accuracy: {table['learned z'][0]:.4f}  (z, the projection)")
    print(f"\n{'':<16}{'all labels':>12}{'100 labels':>12}")
    for name, (with_all, with_few) in table.items():
        print(f"{name:<16}{with_all:>12.4f}{with_few:>12.4f}")
    save_pictures(workdir, train, test, recipe, features["learned h"][1], history, args)
    save_checkpoint(workdir, method, optimizer, train, num_steps)


def measure(train_features, test_features, train_labels, test_labels):
    """Returns the accuracy of a linear probe with all labels and with 100.

    The latter is the mean of three draws of ten labels per class.
    """

    def fit(rows):
        probe = evaluation.fit_linear_probe(
            train_features[rows], train_labels[rows], num_classes=10
        )
        return evaluation.accuracy(probe, test_features, test_labels)

    draws = [
        evaluation.take_per_class(train_labels, num_per_class=10, seed=seed)
        for seed in range(3)
    ]
    return fit(slice(None)), float(np.mean([fit(rows) for rows in draws]))


def save_pictures(workdir, train, test, recipe, test_features, history, args):
    """Draws what the encoder saw, how the loss fell and what came of it."""
    originals = augment.as_float(train.images[:6])
    keys = jax.random.split(jax.random.key(args.seed), (6, 7))
    views = jax.vmap(jax.vmap(recipe, in_axes=(0, None)))(keys, originals)
    paths = [
        plots.save_view_grid(
            workdir / "views.png", np.asarray(originals), np.asarray(views)
        ),
        plots.save_loss_curve(
            workdir / "loss.png",
            range(1, len(history) + 1),
            history,
            chance=losses.chance_loss(args.batch_size),
            floor=losses.floor_loss(args.batch_size, temperature=args.temperature),
        ),
        plots.save_class_map(
            workdir / "map.png",
            test_features[:1000],
            test.labels[:1000],
            title="h of 1,000 test images (t-SNE), colored by class",
        ),
    ]
    print("\nPictures: " + ", ".join(str(path) for path in paths))


def save_checkpoint(workdir, method, optimizer, train, num_steps):
    """Saves what `python -m simclr_jax probe --checkpoint=WORKDIR` reads."""
    config = {
        "compute_dtype": "float32",
        "data": {"source": "mnist_sample", "data_dir": None, "square_side": None},
        "encoder": {"name": "convnet"},
        "evaluation": {"size": VIEW, "fit": "crop"},
    }
    shape = list(train.image_shape)
    meta = {"config": config, "data": {"name": train.name, "image_shape": shape}}
    checkpoints = training.Checkpoints(workdir / "checkpoints")
    state = training.TrainState(*nnx.split((method, optimizer)))
    checkpoints.save(num_steps, state.items(), meta)
    checkpoints.close()
    print(f"Checkpoint: {workdir / 'checkpoints'}")


if __name__ == "__main__":
    sys.exit(cli.guard(main))
