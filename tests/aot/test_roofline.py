import pytest
from aot import sample

from simclr_jax.aot import chips, collectives, compilation, hlo, roofline, topology


def grid(mesh, name, *shape):
    return topology.Topology(name, chips.CHIPS[name], shape, mesh)


def collective(kind="all-gather", *, num_bytes=10**9, count=1, group_size=256):
    return collectives.Collective(kind, False, group_size, "", False, num_bytes, count)


@pytest.fixture
def mesh(make_mesh):
    return make_mesh(8)


def test_a_gather_uses_all_links(mesh):
    part = 255 / 256
    full = roofline.collective_seconds(collective(), grid(mesh, "v5e", 16, 16))
    assert full == pytest.approx(part * 1e9 / (4 * 50e9))
    # 8 x 16 wraps along one axis, 4 x 8 along none: three links and two.
    half = roofline.collective_seconds(collective(), grid(mesh, "v5e", 8, 16))
    assert half == pytest.approx(part * 1e9 / (3 * 50e9))
    few = roofline.collective_seconds(collective(), grid(mesh, "v5e", 4, 8))
    assert few == pytest.approx(part * 1e9 / (2 * 50e9))
    line = roofline.collective_seconds(collective(), grid(mesh, "v5p", 2, 1, 1))
    assert line == pytest.approx(part * 1e9 / 100e9)


def test_an_all_reduce_takes_twice_as_long(mesh):
    where = grid(mesh, "v5e", 16, 16)
    twice = roofline.collective_seconds(collective("all-reduce"), where)
    assert twice == 2 * roofline.collective_seconds(collective(), where)


def test_small_collectives_are_bound_by_latency(mesh):
    short = collective(num_bytes=4, count=3)
    # Half of both rings, or the whole length of both lines.
    where = grid(mesh, "v5e", 16, 16)
    assert roofline.collective_seconds(short, where) == pytest.approx(3 * 16e-6)
    where = grid(mesh, "v5e", 4, 8)
    assert roofline.collective_seconds(short, where) == pytest.approx(3 * 10e-6)
    alone = collective(group_size=1)
    assert roofline.collective_seconds(alone, grid(mesh, "v5e", 1, 1)) == 0


def test_the_longest_of_the_three_times_is_binding(mesh):
    compiled = compilation.Compiled(
        argument_bytes=5,
        output_bytes=4,
        shared_bytes=3,
        temporary_bytes=2,
        code_bytes=1,
        flops=2e10,
        bytes_accessed=1e9,
        module=hlo.parse(sample.TEXT),
    )
    assert compiled.total_bytes == 9
    found = roofline.predict(compiled, grid(mesh, "v5e", 2, 4), batch_size=64)
    # Four more loop iterations than XLA counts, each a product of 128 x 128.
    assert found.flops == 2e10 + 4 * 2 * 128**3
    assert found.compute_seconds == found.flops / 197e12
    assert found.binding == "compute"
    assert found.utilization == 1
    longest = max(found.seconds.values())
    assert found.images_per_second == 64 / longest
    assert found.images_per_second_in_turn == 64 / sum(found.seconds.values())
    assert found.interconnect_seconds == sum(
        roofline.collective_seconds(one, found.topology) for one in found.collectives
    )
