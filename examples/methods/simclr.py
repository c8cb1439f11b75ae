"""SimCLR in one file: data, views, model, loss, loop. Copy it and change anything.

    python examples/methods/simclr.py --smoke

Chen et al. 2020, https://arxiv.org/abs/2002.05709.
"""

import argparse

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from simclr_jax import augment, data, encoders, evaluation, losses, nn, optim, training

parser = argparse.ArgumentParser()
parser.add_argument("--smoke", action="store_true", help="40 steps instead of 1,000")
num_steps = 40 if parser.parse_args().smoke else 1000

# Data: batches of digits [b 28 28 1]; "tfds:mnist" is the full set.
splits = [data.open_source("mnist_sample", split=x) for x in ("train", "test")]
train, test = map(data.open_images, splits)
order = data.BatchOrder(len(train), 128, num_steps, seed=0)
batches = data.Batches(train, order, training.make_mesh()).start_at(0)

# Views: random crop, brightness, contrast and blur; another key gives another view.
recipe = augment.mnist(size=24)


# Model: an encoder, images to h, and a projection head, h to z.
class Model(nnx.Module):
    def __init__(self, rngs):
        self.encoder = encoders.build("convnet", image_shape=(24, 24, 1), rngs=rngs)
        self.head = nn.ProjectionHead(self.encoder.feature_dim, rngs=rngs)


# Loss: the other view of an image is the positive, the other 2b - 2 are negatives.
def loss_fn(model, images, keys):
    views = jnp.concatenate(augment.two_views(keys, images, recipe))
    z_a, z_b = jnp.split(model.head(model.encoder(views)), 2)
    return losses.ntxent(z_a, z_b, temperature=0.5)


# Loop: the step is a pure function of arrays, compiled once.
model = Model(nnx.Rngs(0))
rate = optim.warmup_cosine(3e-3, num_steps=num_steps, warmup_steps=num_steps // 20)
optimizer = nnx.Optimizer(model, optax.adam(rate), wrt=nnx.Param)
graphdef, arrays = nnx.split((model, optimizer))


@jax.jit
def train_step(arrays, images, step):
    model, optimizer = nnx.merge(graphdef, arrays)
    keys = augment.sample_keys(jax.random.key(step), len(images))
    loss, grads = nnx.value_and_grad(loss_fn)(model, images, keys)
    optimizer.update(model, grads)
    return nnx.state((model, optimizer)), loss


for step, batch in enumerate(batches, start=1):
    arrays, loss = train_step(arrays, batch["image"], step)
    if step % (num_steps // 5) == 0:
        print(f"step {step}/{num_steps} | loss {loss:.4f}", flush=True)

# Result: a linear classifier on the frozen encoder.
model, *_ = nnx.merge(graphdef, arrays)
embed = evaluation.freeze(model.encoder, augment.evaluation(size=24, proportion=0.8))
train_h, test_h = (evaluation.extract(embed, images) for images in (train, test))
probe = evaluation.fit_linear_probe(*train_h, num_classes=10)
print(f"Linear accuracy: {evaluation.accuracy(probe, *test_h):.4f}")
