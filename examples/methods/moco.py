"""MoCo in one file: data, views, model, loss, loop. Copy it and change anything.

    python examples/methods/moco.py --smoke

He et al. 2019, https://arxiv.org/abs/1911.05722.
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
        nn.set_batch_norm_groups(self, 8)  # else statistics reveal the positive


# Loss: the key of the other view is the positive, those in the queue are negatives.
def loss_fn(model, target, queue, images, keys):
    view, other = augment.two_views(keys, images, recipe)
    query = model.head(model.encoder(view))
    shuffled = target.head(target.encoder(nn.shuffle_rows(keys[0], other)))
    new = jax.lax.stop_gradient(nn.unshuffle_rows(keys[0], shuffled))
    return losses.info_nce(query, new, queue[...], temperature=0.2), new


# Loop: the step is a pure function of arrays, compiled once.
model = Model(nnx.Rngs(0))
rate = optim.warmup_cosine(3e-3, num_steps=num_steps, warmup_steps=num_steps // 20)
optimizer = nnx.Optimizer(model, optax.adam(rate), wrt=nnx.Param)
target = nnx.clone(model, arrays=True)
queue = nnx.Variable(jax.random.normal(jax.random.key(0), (2048, 128)))
graphdef, arrays = nnx.split((model, optimizer, target, queue))


@jax.jit
def train_step(arrays, images, step):
    model, optimizer, target, queue = nnx.merge(graphdef, arrays)
    keys = augment.sample_keys(jax.random.key(step), len(images))
    gradient = nnx.value_and_grad(loss_fn, has_aux=True)
    (loss, added), grads = gradient(model, target, queue, images, keys)
    optimizer.update(model, grads)
    new, old = nnx.state(model, nnx.Param), nnx.state(target, nnx.Param)
    nnx.update(target, optax.incremental_update(new, old, step_size=0.01))
    queue[...] = jnp.concatenate([added, queue[: -len(added)]])  # the oldest leave
    return nnx.state((model, optimizer, target, queue)), loss


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
