"""The smallest run that has BatchNorm, a head, NT-Xent and Adam in it."""

import jax
from flax import nnx

from simclr_jax import augment, data, encoders, heads, methods, optim, training

NUM_STEPS = 12
BATCH_SIZE = 16
SCHEDULE = optim.warmup_cosine(3e-3, num_steps=NUM_STEPS, warmup_steps=2)


def build_method(mesh):
    rngs = nnx.Rngs(0)
    encoder = encoders.ConvNet(image_shape=(12, 12, 1), rngs=rngs)
    head = heads.ProjectionHead(
        encoder.feature_dim, hidden_dim=8, output_dim=8, batch_norm=False, rngs=rngs
    )
    recipe = augment.mnist(size=12)
    return methods.SimCLR(
        encoder, head, augmentation=recipe, temperature=0.5, mesh=mesh
    )


def build_state(mesh, learning_rate=SCHEDULE):
    return training.initialize(
        lambda: build_method(mesh),
        lambda params: optim.build("adam", learning_rate, params=params),
        mesh=mesh,
    )


def build_batches(mesh):
    source = data.open_source("mnist_sample")
    order = data.BatchOrder(len(source), BATCH_SIZE, NUM_STEPS, seed=0)
    return data.Batches(source, order, mesh)


def root_key(mesh):
    return jax.device_put(jax.random.key(0), training.replicated(mesh))
