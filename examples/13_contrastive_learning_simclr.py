"""SimCLR on handwritten digits, from the first view to the linear probe.

    python examples/13_contrastive_learning_simclr.py

The two views of an image attract each other and repel the views of all other images
(Chen et al. 2020, https://arxiv.org/abs/2002.05709). Labels are used only at the end,
by a linear classifier on the frozen features.
"""

import functools
import sys

import evaluate  # examples/evaluate.py: flags, data, log, accuracies, pictures
from flax import nnx

from simclr_jax import augment, data, encoders, losses, methods, nn, optim, training
from simclr_jax.core import keys, sharding
from simclr_jax.programs import cli


class SimCLR(methods.Method):
    """Two views of each image -> encoder -> h -> projection head -> z -> NT-Xent."""

    def __init__(self, encoder, head, *, augmentation, temperature):
        self.encoder, self.head = encoder, head
        self.augmentation, self.temperature = augmentation, temperature

    def forward(self, batch, keys):
        """Embeds two random views of each image; keys holds one key for each image."""
        views = augment.two_views(keys, batch["image"], self.augmentation)
        h = methods.embed_together(self.encoder, views, keys)  # [b 2 d]
        z = self.head(h.reshape(-1, h.shape[-1]))
        return {"h": h[:, 0], "z": z.reshape(*h.shape[:2], -1)}

    def loss(self, outputs, batch, *, step, execution):
        """Computes NT-Xent: the views of an image are positives, others negatives."""
        a, b = outputs["z"][:, 0], outputs["z"][:, 1]
        options = {"temperature": self.temperature, "mesh": execution.mesh}
        return losses.ntxent_with_metrics(a, b, **options)


def main():
    """Trains, evaluates, and saves pictures and a checkpoint."""
    args = evaluate.parse_arguments()
    workdir, mesh = evaluate.prepare(args)

    # Data: the images are on the devices; batch t is a function of (seed, t).
    digits = evaluate.open_digits(args.dataset, args.data_dir)
    order = data.BatchOrder(len(digits.train), args.batch_size, sys.maxsize, args.seed)
    batches = data.Batches(digits.train, order, mesh).start_at(0)
    epochs = evaluate.choose_epochs(args.epochs, order.steps_per_epoch)

    # Views and model: the reader's own encoder or head may stand here.
    rngs = nnx.Rngs(keys.stream(args.seed, "init"))
    encoder = encoders.build("convnet", image_shape=(24, 24, 1), rngs=rngs)
    options = {"hidden_dim": 128, "output_dim": 64, "batch_norm": False}
    head = nn.ProjectionHead(encoder.feature_dim, **options, rngs=rngs)
    recipe = augment.mnist(size=24)
    method = SimCLR(encoder, head, augmentation=recipe, temperature=args.temperature)
    num_steps = epochs * order.steps_per_epoch
    warmup = {"num_steps": num_steps, "warmup_steps": num_steps // 20}
    rate = optim.warmup_cosine(args.learning_rate, **warmup)
    adam = lambda params: optim.build("adam", rate, params=params)
    state = training.start_from(method, adam, mesh=mesh)

    # Training: view keys are a function of (seed, t, image) too.
    execution = sharding.Execution(mesh)
    step = functools.partial(training.train_step, state.graphdef, execution)
    arrays, key = state.arrays, training.place(keys.stream(args.seed, "views"), mesh)
    log = evaluate.Log(workdir, epochs, args.batch_size)
    for _ in range(epochs):
        for _ in log.epoch(order.steps_per_epoch):
            arrays, metrics = step(arrays, next(batches), key)  # one jitted update
            log.add(metrics["loss"])
    state = training.TrainState(state.graphdef, arrays)
    evaluate.report(args, workdir, digits, state, method, log.history, mesh)


if __name__ == "__main__":
    sys.exit(cli.guard(main))
