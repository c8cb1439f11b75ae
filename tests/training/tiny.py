"""A small run with BatchNorm, a projection head, NT-Xent and Adam."""

import jax
from flax import nnx

from simclr_jax import augment, data, encoders, methods, optim, training
from simclr_jax.core import sharding

NUM_STEPS = 12
BATCH_SIZE = 16
SCHEDULE = optim.warmup_cosine(3e-3, num_steps=NUM_STEPS, warmup_steps=2)


def noisy_corner(key, image, *, size):
    """Returns a corner of the image with noise: a view that compiles quickly."""
    corner = image[8 : 8 + size, 8 : 8 + size]
    return corner + 0.2 * jax.random.normal(key, corner.shape)


def build_linear_method():
    """Builds a method without convolutions, for tests of everything but the model."""
    rngs = nnx.Rngs(0)
    flatten = lambda images: images.reshape(len(images), -1)
    return methods.SimCLR(
        nnx.Sequential(flatten, nnx.Linear(144, 8, rngs=rngs)),
        augmentation=augment.bind(noisy_corner, size=12),
        temperature=0.5,
        head=nnx.Linear(8, 8, rngs=rngs),
    )


def build_method():
    rngs = nnx.Rngs(0)
    return methods.SimCLR(
        encoders.build("convnet", image_shape=(12, 12, 1), rngs=rngs),
        augmentation=augment.bind(noisy_corner, size=12),
        temperature=0.5,
        head={"hidden_dim": 8, "output_dim": 8, "batch_norm": False},
        rngs=rngs,
    )


def build_state(mesh, learning_rate=SCHEDULE, build=build_method):
    return training.initialize(
        build,
        lambda params: optim.build("adam", learning_rate, params=params),
        mesh=mesh,
    )


def build_batches(mesh):
    source = data.open_source("mnist_sample")
    order = data.BatchOrder(len(source), BATCH_SIZE, NUM_STEPS, seed=0)
    return data.Batches(source, order, mesh)


def root_key(mesh):
    return jax.device_put(jax.random.key(0), sharding.replicated(mesh))


def execution(mesh):
    return sharding.Execution(mesh)
