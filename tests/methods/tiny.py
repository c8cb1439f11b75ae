"""Minimal training run of any method: a two-layer encoder on 10x10 images."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from simclr_jax import assembly, augment, data, encoders, methods
from simclr_jax.nn import normalization

BATCH_SIZE = 16
NUM_STEPS = 4

SMALL = {
    "head": {"hidden_dim": 8, "output_dim": 8},
    "predictor": {"hidden_dim": 8, "output_dim": 8},
    "queue_size": 3 * BATCH_SIZE,
}
"""Options that make a method small; each method takes those it has."""


class TinyEncoder(nnx.Module):
    """Encoder: a strided convolution, a norm and the mean over positions."""

    def __init__(self, *, num_channels, norm=True, dtype=jnp.float32, rngs):
        self.convolution = nnx.Conv(
            num_channels, 12, (3, 3), strides=2, dtype=dtype, rngs=rngs
        )
        self.norm = normalization.BatchNorm(12, dtype=dtype) if norm else None
        self.feature_dim = 12

    def __call__(self, images):
        x = self.convolution(images)
        if self.norm is not None:
            x = self.norm(x)
        return jax.nn.relu(x).mean(axis=(1, 2))


encoders.ENCODERS.register("tiny")(TinyEncoder)


def noisy_corner(key, image, *, size):
    """Returns a corner of the image with noise, a view that compiles quickly."""
    corner = image[:size, :size]
    return corner + 0.2 * jax.random.normal(key, corner.shape)


@augment.RECIPES.register("noisy_corner")
def noisy_corner_recipe(*, size=8):
    """Returns the recipe of two noisy corners."""
    return augment.bind(noisy_corner, size=size)


def images(count=40):
    """Returns labeled noise images in memory."""
    rng = np.random.default_rng(0)
    return data.ArraySource(
        name="noise",
        images=rng.integers(0, 256, (count, 10, 10, 3), dtype=np.uint8),
        labels=rng.integers(0, 4, count).astype(np.int32),
        num_classes=4,
    )


def make_config(name, *, norm=True, **method_options):
    """Returns the config of a tiny run of a method."""
    config = assembly.base_config()
    known = methods.METHODS.options(name)
    options = {key: value for key, value in SMALL.items() if key in known}
    options |= method_options
    if not norm:
        for part in ("head", "predictor"):
            if part in options:
                options[part] = options[part] | {"batch_norm": False}
    config.method = {"name": name, **options}
    config.encoder = {"name": "tiny", "norm": norm}
    config.augmentation = {"name": "noisy_corner", "size": 8}
    config.evaluation = {"size": 8}
    config.optimizer.update(
        {"name": "sgd", "learning_rate": 0.05, "learning_rate_scaling": "none"}
    )
    config.optimizer.warmup_epochs = 0.0
    config.batch_size = BATCH_SIZE
    config.num_steps = NUM_STEPS
    config.log_every_steps = 1
    config.checkpoint_every_steps = 2
    config.execution.num_devices = 1
    return config


def make_run(config):
    """Returns the run of a config on the noise images."""
    assembly.config.check(config)
    return assembly.assemble(config, images=images())
