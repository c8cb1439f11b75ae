"""Memory and collectives of the compiled NT-Xent and its gradient on 8 devices."""

import functools
import re

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from simclr_jax import losses
from simclr_jax.aot import collectives as aot_collectives


def value_and_grad(name, mesh, *, num_images, dim, with_metrics=False):
    """Compiles value and gradient for arrays sharded over the mesh."""
    loss = functools.partial(
        losses.ntxent_with_metrics if with_metrics else losses.ntxent,
        temperature=0.1,
        mesh=mesh,
        algorithm=name,
    )
    rows = NamedSharding(mesh, PartitionSpec("data"))
    x = jax.ShapeDtypeStruct((num_images, dim), jnp.float32, sharding=rows)
    step = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=with_metrics))
    return step.lower(x, x).compile()


def collectives(program):
    """Returns the number of instructions of each collective that occurs."""
    found = re.findall(r"= .*? ([a-z-]+)\(", program.as_text())
    names = [name.removesuffix("-start") for name in found]
    return {name: names.count(name) for name in aot_collectives.KINDS if name in names}


def bytes_per_device(program):
    """Returns the size of arguments, results and temporaries."""
    memory = program.memory_analysis()
    return (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
    )
