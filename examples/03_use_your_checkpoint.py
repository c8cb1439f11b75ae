"""Use a trained encoder: embed images, find neighbors, classify, continue training.

    python examples/03_use_your_checkpoint.py

Without ``--checkpoint`` it trains a small encoder on digits first (half a minute). With
``--checkpoint=WORKDIR`` it reads the newest checkpoint of that run. The images are
those of the run, or others with ``--images=folder:PATH``.
"""

import argparse
import pathlib
import sys

import numpy as np
from flax import nnx

import simclr_jax
from simclr_jax import augment, encoders, evaluation, methods, plots, training
from simclr_jax.programs import cli


def main():
    """Loads an encoder and uses it in four ways."""
    parser = argparse.ArgumentParser(description="Use a trained encoder.")
    parser.add_argument("--checkpoint", help="working directory of a run")
    parser.add_argument("--images", help='such as "folder:PATH"; default: of the run')
    parser.add_argument("--workdir", default="runs/use_your_checkpoint")
    args = parser.parse_args()
    training.use_cpu_cores(64)
    workdir, checkpoint = pathlib.Path(args.workdir), args.checkpoint
    if checkpoint is None:
        checkpoint = workdir / "small"
        simclr_jax.fit("mnist", "mnist_sample", workdir=checkpoint, num_steps=60)
    encoder = simclr_jax.load(checkpoint)
    images = encoder.open_images(args.images)

    # Embed: an array [n h w c], or a list of arrays or PIL images of any sizes.
    rows = np.unique(np.linspace(0, len(images) - 1, 1000).astype(int))
    samples = images.read(rows)
    sizes, labels = samples["sizes"], samples["labels"]
    pictures = [x[:h, :w] for x, (h, w) in zip(samples["images"], sizes, strict=True)]
    features = encoder.embed(pictures)
    print(f"Embedded {len(pictures)} images of {images.name}: {features.shape}")

    draw_neighbors(workdir / "neighbors.png", pictures, features)
    if images.num_classes is not None:
        accuracy = classify(features, labels, images.num_classes)
        print(f"Linear accuracy on every fifth image: {accuracy:.4f}")
    continued = continue_training(encoder, checkpoint, images, workdir / "continued")
    print(f"Trained {continued.step} more steps: {workdir / 'continued'}")


def draw_neighbors(path, pictures, features, *, num_queries=6, num_neighbors=5):
    """Draws some images, each beside the images with the most similar features."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    queries = np.linspace(0, len(unit) - 1, num_queries).astype(int)
    cosine = unit[queries] @ unit.T
    cosine[np.arange(num_queries), queries] = -np.inf  # an image is not its neighbor
    nearest = np.argsort(-cosine, axis=1)[:, :num_neighbors]
    shown = lambda index: pictures[index] / np.float32(255)
    tiles = [
        [plots.Tile(shown(j), f"cosine {similar[j]:.3f}", None) for j in row]
        for similar, row in zip(cosine, nearest, strict=True)
    ]
    originals = [shown(index) for index in queries]
    names = [f"image {index}" for index in queries]
    title = "Images and their nearest neighbors by cosine similarity"
    plots.save_contact_sheet(path, originals, tiles, title=title, names=names)
    print(f"Nearest neighbors: {path}")


def classify(features, labels, num_classes):
    """Returns the accuracy of a linear classifier on every fifth image."""
    is_test = np.arange(len(labels)) % 5 == 0
    probe = evaluation.fit_linear_probe(
        features[~is_test], labels[~is_test], num_classes=num_classes
    )
    return evaluation.accuracy(probe, features[is_test], labels[is_test])


def continue_training(encoder, checkpoint, images, workdir):
    """Trains a new head and the encoder, which starts from the checkpoint."""
    spec, rngs = encoder.module.spec, nnx.Rngs(0)
    shape = {"image_shape": spec.image_shape, "num_channels": spec.num_channels}
    fresh = encoders.build(spec.name, **shape, **dict(spec.options), rngs=rngs)
    preprocessing = encoder.metadata["encoder"]["preprocessing"]
    recipe = "simclr_cifar" if encoder.num_channels == 3 else "mnist"
    method = methods.SimCLR(
        fresh,
        augmentation=augment.build(recipe, size=preprocessing["size"]),
        temperature=0.5,
        head={"hidden_dim": 128, "output_dim": 64},
        rngs=rngs,
    )
    return simclr_jax.fit(
        method,
        images,
        workdir=workdir,
        num_steps=20,
        batch_size=64,
        evaluation=preprocessing,
        init_from={"checkpoint": str(checkpoint), "only": ("encoder/.*",)},
    )


if __name__ == "__main__":
    sys.exit(cli.guard(main))
