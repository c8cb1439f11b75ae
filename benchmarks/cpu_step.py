"""Seconds per training step of the example network on a CPU: XLA, ours, PyTorch.

    python -m benchmarks.cpu_step [--rounds 15] [--only ours,xla,torch]

One step is forward, backward and an Adam update for two views of 256 images of
24 x 24 pixels: 3x3 convolutions with 32 and 64 channels, each with batch norm, ReLU
and 2 x 2 max-pooling; two residual blocks of 64 channels; a projection head
2304 - 128 - 64; the dense NT-Xent at temperature 0.2. All float32. The rows are

* xla: the native convolution and pooling of XLA (``jax.lax.conv_general_dilated``,
  ``nnx.max_pool``, ``nnx.BatchNorm``), no code of this library;
* ours: ``simclr_jax.encoders.ConvNet``;
* torch: PyTorch in the channels-last layout.

The rows alternate step by step, so that other load on the machine affects all equally.
Compare minima and ratios, not single numbers.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks import machine
from simclr_jax import encoders

NUM_IMAGES = 512
SIZE = 24
TEMPERATURE = 0.2
LEARNING_RATE = 1e-3


class PlainConvolution(nnx.Module):
    """A 3 x 3 convolution without bias, then batch norm; no code of this library."""

    def __init__(self, c, d, *, rngs):
        init = jax.nn.initializers.lecun_normal()
        self.kernel = nnx.Param(init(rngs.params(), (3, 3, c, d), jnp.float32))
        self.norm = nnx.BatchNorm(d, momentum=0.9, rngs=rngs)

    def __call__(self, x):
        """Convolves with padding 1 and normalizes."""
        layout = ("NHWC", "HWIO", "NHWC")
        return self.norm(
            jax.lax.conv_general_dilated(
                x, self.kernel[...], (1, 1), "SAME", dimension_numbers=layout
            )
        )


class PlainEncoder(nnx.Module):
    """The encoder with the operations of XLA and flax."""

    def __init__(self, *, rngs):
        make = functools.partial(PlainConvolution, rngs=rngs)
        self.stem = nnx.List([make(1, 32), make(32, 64)])
        self.blocks = nnx.List([make(64, 64) for _ in range(4)])

    def __call__(self, x):
        """Returns the features [b 2304]."""
        for layer in self.stem:
            x = nnx.max_pool(jax.nn.relu(layer(x)), (2, 2), strides=(2, 2))
        for first, second in zip(self.blocks[0::2], self.blocks[1::2], strict=True):
            x = jax.nn.relu(second(jax.nn.relu(first(x))) + x)
        return x.reshape(x.shape[0], -1)


class Network(nnx.Module):
    """An encoder and the projection head."""

    def __init__(self, encoder, *, rngs):
        self.encoder = encoder
        self.hidden = nnx.Linear(2304, 128, rngs=rngs)
        self.out = nnx.Linear(128, 64, rngs=rngs)

    def __call__(self, x):
        """Returns the embeddings [b 64]."""
        return self.out(jax.nn.relu(self.hidden(self.encoder(x))))


def dense_ntxent(z):
    """Computes NT-Xent over 2b rows, where rows i and i + b show the same image."""
    z = z / jnp.linalg.norm(z, axis=-1, keepdims=True)
    n = z.shape[0]
    logits = jnp.where(jnp.eye(n, dtype=bool), -jnp.inf, z @ z.T / TEMPERATURE)
    positives = jnp.roll(jnp.arange(n), n // 2)
    return optax.softmax_cross_entropy_with_integer_labels(logits, positives).mean()


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def jax_step(graphdef, state, x):
    """Makes one optimization step; returns the new state and the loss."""
    model, optimizer = nnx.merge(graphdef, state)
    model_def, params, rest = nnx.split(model, nnx.Param, ...)

    def loss_fn(params):
        model = nnx.merge(model_def, params, rest, copy=True)
        return dense_ntxent(model(x)), nnx.state(model, nnx.Not(nnx.Param))

    (loss, mutated), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
    nnx.update(model, mutated)
    optimizer.update(model, grads)
    return nnx.state((model, optimizer)), loss


def make_jax(images: np.ndarray, make_encoder: Callable) -> Callable:
    """Returns a function that runs one step and returns the loss as a float."""
    rngs = nnx.Rngs(0)
    model = Network(make_encoder(rngs=rngs), rngs=rngs)
    optimizer = nnx.Optimizer(model, optax.adam(LEARNING_RATE), wrt=nnx.Param)
    graphdef, state = nnx.split((model, optimizer))
    x = jnp.asarray(images)

    def run():
        nonlocal state
        state, loss = jax_step(graphdef, state, x)
        jax.block_until_ready(state)
        return float(loss)

    return run


def make_torch(images: np.ndarray) -> Callable:
    """Returns a function that runs one PyTorch step and returns the loss."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(*layer(64, 64), nn.ReLU(), *layer(64, 64))

        def forward(self, x):
            return functional.relu(self.body(x) + x)

    def layer(c, d):
        return nn.Conv2d(c, d, 3, padding=1, bias=False), nn.BatchNorm2d(d)

    torch.manual_seed(0)
    model = nn.Sequential(
        *(*layer(1, 32), nn.ReLU(), nn.MaxPool2d(2)),
        *(*layer(32, 64), nn.ReLU(), nn.MaxPool2d(2)),
        *(Block(), Block(), nn.Flatten()),
        *(nn.Linear(2304, 128), nn.ReLU(), nn.Linear(128, 64)),
    ).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    x = torch.tensor(images).permute(0, 3, 1, 2)
    n = len(images)
    positives = torch.arange(n).roll(n // 2)

    def run():
        optimizer.zero_grad(set_to_none=True)
        z = functional.normalize(model(x))
        logits = z @ z.T / TEMPERATURE
        logits = logits.masked_fill(torch.eye(n, dtype=torch.bool), -torch.inf)
        loss = functional.cross_entropy(logits, positives)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return run


def make_rows(images: np.ndarray, names: list[str]) -> dict[str, Callable]:
    """Returns the rows whose packages are installed, by name."""
    ours = functools.partial(encoders.ConvNet, image_shape=(SIZE, SIZE, 1))
    makers = {
        "xla": lambda: make_jax(images, PlainEncoder),
        "ours": lambda: make_jax(images, ours),
        "torch": lambda: make_torch(images),
    }
    rows = {}
    for name in names:
        try:
            rows[name] = makers[name]()
        except ImportError:
            if name != "torch":
                raise
    return rows


def measure(rows: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    """Runs the rows alternately; returns the seconds per step, after two warm-ups."""
    seconds = {name: [] for name in rows}
    for index in range(rounds + 2):
        for name, run in rows.items():
            start = time.perf_counter()
            run()
            if index >= 2:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def describe(rows: dict[str, Callable]) -> str:
    """Returns the header, with the number of PyTorch threads."""
    lines = [machine.header("flax", "optax", "torch")]
    if "torch" in rows:
        import torch

        lines.append(f"torch with {torch.get_num_threads()} threads")
    return ",\n".join(lines) + "\n"


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="xla,ours,torch")
    args = parser.parse_args()
    names = args.only.split(",")
    shape = (NUM_IMAGES, SIZE, SIZE, 1)
    images = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    rows = make_rows(images, names)
    seconds = measure(rows, args.rounds)
    reference = min(seconds["torch"]) if "torch" in seconds else None
    print(describe(rows))
    print("| step | min s | median s | min / torch min |\n|---|---|---|---|")
    for name in names:
        if name not in seconds:
            print(f"| {name} | not installed | | |")
            continue
        low, middle = min(seconds[name]), statistics.median(seconds[name])
        ratio = f"{low / reference:.2f}" if reference else "-"
        print(f"| {name} | {low:.3f} | {middle:.3f} | {ratio} |")


if __name__ == "__main__":
    main()
