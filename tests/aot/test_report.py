from aot import sample

from simclr_jax import aot
from simclr_jax.aot import compilation, roofline, topology


def prediction(make_mesh):
    compiled = compilation.Compiled(
        argument_bytes=2**30,
        output_bytes=2**29,
        shared_bytes=2**29,
        temporary_bytes=2**30,
        code_bytes=0,
        flops=8e12,
        bytes_accessed=1e9,
        module=aot.parse(sample.TEXT),
    )
    where = topology.Topology("", aot.CHIPS["v5e"], (2, 4), make_mesh(8))
    return roofline.predict(compiled, where, batch_size=64)


def test_table_has_a_row_per_outcome_and_marks_too_large_ones(make_mesh):
    text = aot.table(
        {
            "batch_size=64": prediction(make_mesh),
            "batch_size=128": compilation.TooLarge("57.59GiB", "15.75GiB"),
        }
    )
    rows = [line.strip("| ").split(" | ") for line in text.splitlines()]
    assert len({line.count("|") for line in text.splitlines()}) == 1
    assert rows[2][:4] == ["batch_size=64", "2.00 of 16 GiB", "500.00", "40.61"]
    assert rows[2][6:8] == ["compute", f"{64 / 8e12 * 197e12:,.0f}"]
    assert "does not fit: needs 57.59GiB of 15.75GiB" in rows[3][1]


def test_details_list_every_collective(make_mesh):
    text = aot.details(prediction(make_mesh))
    assert "8 chips v5e, 8 images each" in text
    assert "together 2 GiB of 16 GiB" in text
    assert "8e+12 per step and chip, 1e+12 per image, 5e+11 per view" in text
    assert "loop iterations: 5" in text
    assert "| all-gather, asynchronous | losses/log_sum_exp.py:_gather" in text
    assert "| all-reduce | reduce_sum | backward | 8 | 1 | 0.066 |" in text
    assert "| collective-permute | permuted | forward | 8 | 5 | 0.328 |" in text


def test_the_note_says_that_nothing_was_measured():
    assert "Predicted upper bounds" in aot.NOTE
    assert "Nothing was measured" in aot.NOTE
