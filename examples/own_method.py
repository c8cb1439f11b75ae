r"""A new method in one file: predict by which angle an image was rotated.

    python -m simclr_jax pretrain --config=mnist --config.data.source=mnist_sample \
        --config.modules=examples/own_method.py --config.method.name=rotation \
        --workdir=runs/rotation

Gidaris et al. 2018, "Unsupervised Representation Learning by Predicting Image
Rotations", https://arxiv.org/abs/1803.07728. Several devices, micro-batches,
checkpoints, resuming, `probe` and `simclr_jax.load` work with it as with every other
method.
"""

from typing import final

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from simclr_jax import augment
from simclr_jax.methods import METHODS, Method


@final
@METHODS.register("rotation")
class Rotation(Method):
    """Rotates a view of each image by 0, 90, 180 or 270 degrees and predicts which."""

    def __init__(self, encoder, *, augmentation, hidden_dim=128, rngs):
        """Adds a classifier of four classes to the encoder; h is its input."""
        self.encoder = encoder
        self.augmentation = augmentation
        self.hidden = nnx.Linear(encoder.feature_dim, hidden_dim, rngs=rngs)
        self.classifier = nnx.Linear(hidden_dim, 4, rngs=rngs)

    def forward(self, batch, keys):
        """Embeds one rotated view of each image; its key determines the angle."""
        view, _ = augment.two_views(keys, batch["image"], self.augmentation)
        turns = jax.vmap(lambda key: jax.random.randint(key, (), 0, 4))(keys)
        turned = jax.vmap(turn)(view, turns)
        h = self.encoder(turned)
        logits = self.classifier(jax.nn.relu(self.hidden(h)))
        return {"h": h, "logits": logits, "turns": turns}

    def loss(self, outputs, batch, *, step, execution):
        """Computes the cross entropy in nats, the mean over the images."""
        logits, turns = outputs["logits"].astype(jnp.float32), outputs["turns"]
        each = optax.softmax_cross_entropy_with_integer_labels(logits, turns)
        is_right = logits.argmax(axis=-1) == turns
        return each.mean(), {"rotation_accuracy": is_right.astype(jnp.float32).mean()}


def turn(image, turns):
    """Rotates a square image [h w c] by ``turns`` times 90 degrees."""
    return jax.lax.switch(
        turns, [lambda x, k=k: jnp.rot90(x, k) for k in range(4)], image
    )
