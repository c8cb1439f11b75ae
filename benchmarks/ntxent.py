"""Time and memory of NT-Xent and its gradient: tiled, dense, and optax.

    python -m benchmarks.ntxent [--batch_size 8192] [--dim 128] [--rounds 5]
    python -m benchmarks.ntxent --num_devices 8 [--memory_batch_size 65536]

Each row is one jitted ``jax.value_and_grad`` with respect to both views, float32:

* tiled: ``losses.ntxent``;
* tiled, metrics: ``losses.ntxent_with_metrics``;
* tiled, small temperature: below 1/30, where every row needs its own shift;
* dense: a masked matrix product and a log-sum-exp, the baseline;
* reference: ``losses.ntxent_reference``, the readable implementation;
* optax: ``optax.losses.ntxent``, at ``--optax_batch_size`` beside the other forms,
  because it needs an array [2b 2b d].

With ``--num_devices``, the table compares the algorithms on that many fake CPU devices:
seconds at ``--batch_size``, and megabytes per device (including arguments and results)
at ``--memory_batch_size``, from the compiled program. Fake devices share the cores and
communicate by copying, so the seconds do not include the cost of a network.

The rows of one size alternate, so that other load on the machine affects all equally.
Compare minima and ratios. Temporaries are the memory that XLA allocates in addition to
arguments and results (``compiled.memory_analysis().temp_size_in_bytes``).
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from benchmarks import machine
from simclr_jax import losses

TEMPERATURE = 0.1
SMALL_TEMPERATURE = 0.02


def dense_loss(a: jax.Array, b: jax.Array) -> jax.Array:
    """Computes NT-Xent with one matrix, one mask and one log-sum-exp."""
    z = jnp.concatenate([a, b])
    z = z * jax.lax.rsqrt(jnp.sum(z * z, axis=1, keepdims=True))
    is_self = jnp.eye(z.shape[0], dtype=bool)
    logits = jnp.where(is_self, -jnp.inf, z @ z.T / TEMPERATURE)
    positive = jnp.sum(z * jnp.roll(z, len(a), axis=0), axis=1) / TEMPERATURE
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - positive)


def optax_loss(a: jax.Array, b: jax.Array) -> jax.Array:
    """Computes NT-Xent by optax, with the image index as the label."""
    labels = jnp.tile(jnp.arange(a.shape[0]), 2)
    rows = jnp.concatenate([a, b])
    return jnp.mean(optax.losses.ntxent(rows, labels, TEMPERATURE))


def metrics_loss(a: jax.Array, b: jax.Array) -> tuple[jax.Array, dict]:
    """Computes the loss with its metrics."""
    return losses.ntxent_with_metrics(a, b, temperature=TEMPERATURE)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch_size", type=int, default=8192, help="images, b")
    parser.add_argument("--optax_batch_size", type=int, default=512)
    parser.add_argument("--dim", type=int, default=128, help="embedding width, d")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--num_devices", type=int, default=0, help="fake devices")
    parser.add_argument("--memory_batch_size", type=int, default=65_536)
    flags = parser.parse_args()
    if flags.num_devices:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", flags.num_devices)
    print(machine.header("optax"))
    print(f"{jax.devices()[0].device_kind}\n")
    if flags.num_devices:
        _measure_algorithms(flags)
        return
    tiled = functools.partial(losses.ntxent, temperature=TEMPERATURE)
    small = functools.partial(losses.ntxent, temperature=SMALL_TEMPERATURE)
    reference = functools.partial(losses.ntxent_reference, temperature=TEMPERATURE)
    print("| b | d | form | median s | min s | min / dense | temporaries MB |")
    print("|---|---|---|---|---|---|---|")
    forms: dict[str, Callable] = {
        "dense": dense_loss,
        "tiled": tiled,
        "tiled, metrics": metrics_loss,
        "tiled, small temperature": small,
        "reference": reference,
    }
    _measure(forms, flags.batch_size, flags.dim, flags.rounds)
    forms["optax"] = optax_loss
    _measure(forms, flags.optax_batch_size, flags.dim, flags.rounds)


def _measure(forms: dict, batch_size: int, dim: int, rounds: int) -> None:
    a, b = jax.random.normal(jax.random.key(0), (2, batch_size, dim))
    compiled = {}
    for name, loss in forms.items():
        function = jax.value_and_grad(loss, (0, 1), has_aux=loss is metrics_loss)
        compiled[name] = jax.jit(function).lower(a, b).compile()
    seconds = _seconds(compiled, a, b, rounds)
    for name, taken in seconds.items():
        temporaries = compiled[name].memory_analysis().temp_size_in_bytes / 1e6
        print(
            f"| {batch_size} | {dim} | {name} | {statistics.median(taken):.4f} "
            f"| {min(taken):.4f} | {min(taken) / min(seconds['dense']):.2f} "
            f"| {temporaries:.1f} |",
            flush=True,
        )


def _measure_algorithms(flags: argparse.Namespace) -> None:
    auto = jax.sharding.AxisType.Auto
    mesh = jax.make_mesh((flags.num_devices,), ("data",), axis_types=(auto,))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    shape = (2, flags.batch_size, flags.dim)
    a, b = (
        jax.device_put(x, rows) for x in jax.random.normal(jax.random.key(0), shape)
    )
    large = jax.ShapeDtypeStruct(
        (flags.memory_batch_size, flags.dim), a.dtype, sharding=rows
    )
    compiled, memory = {}, {}
    for name in losses.ALGORITHMS:
        loss = functools.partial(
            losses.ntxent, temperature=TEMPERATURE, mesh=mesh, algorithm=name
        )
        step = jax.jit(jax.value_and_grad(loss, (0, 1)))
        compiled[name] = step.lower(a, b).compile()
        memory[name] = step.lower(large, large).compile().memory_analysis()
    print(
        f"| devices | algorithm | median s, b = {flags.batch_size} | min s "
        f"| MB per device, b = {flags.memory_batch_size} |\n|---|---|---|---|---|"
    )
    for name, taken in _seconds(compiled, a, b, flags.rounds).items():
        held = memory[name]
        total = held.argument_size_in_bytes + held.output_size_in_bytes
        print(
            f"| {flags.num_devices} | {name} | {statistics.median(taken):.3f} "
            f"| {min(taken):.3f} | {(total + held.temp_size_in_bytes) / 1e6:.0f} |"
        )


def _seconds(compiled: dict, a: jax.Array, b: jax.Array, rounds: int) -> dict:
    """Runs the programs alternately: one warm-up, then ``rounds`` timed calls."""
    seconds = {name: [] for name in compiled}
    for taken_so_far in range(rounds + 1):
        for name, run in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(run(a, b))
            if taken_so_far:
                seconds[name].append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
