import jax
import numpy as np
from jax.sharding import PartitionSpec

from simclr_jax.losses.similarity import algorithms, plans
from simclr_jax.losses.similarity.algorithms import ring
from tests.losses.similarity import compiled


def test_memory_at_131072_rows(monkeypatch, make_mesh):
    monkeypatch.setitem(algorithms.TILE_ROWS, "cpu", algorithms.TILE_ROWS["tpu"])
    program = compiled.value_and_grad("ring", make_mesh(8), num_images=65_536, dim=128)
    assert compiled.bytes_per_device(program) <= 0.2e9
    assert set(compiled.collectives(program)) == {"all-reduce", "collective-permute"}
    assert "[131072,128]" not in program.as_text()


def test_receive_shifts_blocks_around_the_ring(make_mesh):
    plan = plans.Plan(4, None, 1)
    rows = PartitionSpec("data")

    def exchange(x):
        return ring.receive(x, plan, offset=1), ring.receive(x, plan, offset=-1)

    found = jax.shard_map(exchange, mesh=make_mesh(4), in_specs=rows, out_specs=rows)(
        np.arange(4)
    )
    np.testing.assert_array_equal(found[0], [1, 2, 3, 0])
    np.testing.assert_array_equal(found[1], [3, 0, 1, 2])
