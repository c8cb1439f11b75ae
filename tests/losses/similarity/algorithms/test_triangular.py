import functools
import math

import jax
import jax.numpy as jnp
import pytest
from jax.extend import core

from simclr_jax import losses
from simclr_jax.losses.similarity import algorithms

NUM_IMAGES, DIM = 420, 3
NUM_ROWS = 2 * NUM_IMAGES


def multiplications(jaxpr, times=1):
    """Counts the multiplications of all matrix products of one device, in loops too."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            depth = [equation.invars[0].aval.shape[axis] for axis in contracted]
            total += times * math.prod([*depth, *equation.outvars[0].aval.shape])
        repeats = times * equation.params.get("length", 1)
        for inner in core.jaxprs_in_params(equation.params):
            total += multiplications(inner, repeats)
    return total


def products(name, mesh, num_devices):
    """Counts the products of value and gradient over all devices, in units of n^2 d."""
    loss = functools.partial(losses.ntxent, temperature=0.1, mesh=mesh, algorithm=name)
    x = jnp.ones((NUM_IMAGES, DIM))
    jaxpr = jax.make_jaxpr(jax.value_and_grad(loss, (0, 1)))(x, x)
    return num_devices * multiplications(jaxpr.jaxpr) / (NUM_ROWS**2 * DIM)


@pytest.mark.parametrize("num_devices", [2, 3, 4, 7])
def test_each_pair_of_rows_is_computed_once(monkeypatch, make_mesh, num_devices):
    # One tile holds all rows of a device; tiles on the diagonal take three products.
    rows = NUM_ROWS // num_devices
    monkeypatch.setitem(algorithms.TILE_ROWS, "cpu", rows)
    mesh = make_mesh(num_devices)
    assert products("gathered", mesh, num_devices) == 3
    assert products("ring", mesh, num_devices) == 3
    one_sided = 1 if num_devices % 2 else 2
    expected = 2 + one_sided / num_devices
    assert products("triangular", mesh, num_devices) == pytest.approx(expected)
