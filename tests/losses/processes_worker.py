"""Worker that computes the NT-Xent of one batch together with other processes.

Writes, for every algorithm, how far its value and gradient are from the reference.
"""

import argparse
import functools
import json
import pathlib

import jax
import numpy as np

from simclr_jax import losses

NUM_IMAGES, DIM, TEMPERATURE = 48, 7, 0.1


def errors(algorithm, mesh, views, expected):
    """Returns the largest errors of the value and of this process's gradient rows."""
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    share = NUM_IMAGES // jax.process_count()
    mine = slice(jax.process_index() * share, (jax.process_index() + 1) * share)
    arrays = [jax.make_array_from_process_local_data(sharding, x[mine]) for x in views]
    loss = functools.partial(
        losses.ntxent, temperature=TEMPERATURE, mesh=mesh, algorithm=algorithm
    )
    value, gradient = jax.jit(jax.value_and_grad(loss, (0, 1)))(*arrays)
    assert value.is_fully_replicated and not gradient[0].is_fully_addressable
    worst = max(
        np.abs(shard.data - of_view[shard.index]).max() / np.abs(of_view).max()
        for got, of_view in zip(gradient, expected[1], strict=True)
        for shard in got.addressable_shards
    )
    value_error = abs(float(value) / float(expected[0]) - 1)
    return {"value": value_error, "gradient": float(worst)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--coordinator")
    parser.add_argument("--num_processes", type=int)
    parser.add_argument("--process", type=int)
    parser.add_argument("--num_devices", type=int)
    parser.add_argument("--output", type=pathlib.Path)
    flags = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", flags.num_devices)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        flags.coordinator,
        flags.num_processes,
        flags.process,
        initialization_timeout=40,
    )
    assert len(jax.devices()) == flags.num_processes * flags.num_devices
    auto = jax.sharding.AxisType.Auto
    mesh = jax.make_mesh((len(jax.devices()),), ("data",), axis_types=(auto,))
    views = np.random.default_rng(0).normal(size=(2, NUM_IMAGES, DIM))
    views = views.astype(np.float32)
    reference = functools.partial(losses.ntxent_reference, temperature=TEMPERATURE)
    expected = jax.device_get(jax.jit(jax.value_and_grad(reference, (0, 1)))(*views))
    found = {name: errors(name, mesh, views, expected) for name in losses.ALGORITHMS}
    flags.output.write_text(json.dumps(found))
    jax.distributed.shutdown()


if __name__ == "__main__":
    main()
