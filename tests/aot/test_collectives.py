import pytest
from aot import sample

from simclr_jax.aot import collectives, hlo


def test_finds_every_collective_with_its_origin():
    found = collectives.find_collectives(hlo.parse(sample.TEXT), num_chips=8)
    square = 128 * 128 * 4
    assert found == [
        collectives.Collective(
            "collective-permute", False, 8, "permuted", False, 5 * square, 5
        ),
        collectives.Collective(
            "all-reduce", False, 8, "reduce_sum", True, square + 4, 1
        ),
        collectives.Collective(
            "all-gather",
            True,
            8,
            "losses/log_sum_exp.py:_gather all_gather",
            False,
            square,
            1,
        ),
    ]


def test_sums_equal_collectives():
    line = next(line for line in sample.TEXT.splitlines() if "%reduced =" in line)
    twice = sample.TEXT.replace(line, f"{line}\n{line.replace('%reduced', '%again')}")
    (found,) = (
        one
        for one in collectives.find_collectives(hlo.parse(twice), num_chips=8)
        if one.kind == "all-reduce"
    )
    assert found.count == 2
    assert found.num_bytes == 2 * (128 * 128 * 4 + 4)


@pytest.mark.parametrize(
    ("groups", "size"),
    [
        ("{{0,1},{2,3},{4,5},{6,7}}", 2),
        ("[2,4]<=[8]", 4),
        ("mesh['a'=2,'b'=4] {'b'}", 4),
        ("mesh['a'=2,'b'=4] {'a','b'}", 8),
        ("{}", 8),
    ],
)
def test_parses_groups_in_every_notation(groups, size):
    text = sample.TEXT.replace("mesh['axis_0'=8] {'axis_0'}", groups)
    found = collectives.find_collectives(hlo.parse(text), num_chips=8)
    assert [one.group_size for one in found if one.kind == "all-reduce"] == [size]
