import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax.losses.similarity import blocks


@pytest.mark.parametrize(
    "num_rows, block_rows, expected",
    [(5, 8, (1, 5)), (8, 8, (1, 8)), (100, 64, (2, 64)), (100, 40, (3, 40))],
)
def test_split_is_even_and_join_inverts_it(num_rows, block_rows, expected):
    rows = {"x": jnp.ones((num_rows, 3)), "id": jnp.arange(num_rows), "none": None}
    row_blocks = blocks.split(
        rows, block_rows, padding={"x": 0.0, "id": -1, "none": None}
    )
    assert row_blocks["x"].shape == (*expected, 3)
    assert row_blocks["id"].shape == expected and row_blocks["none"] is None
    assert blocks.count(row_blocks) == expected[0]
    assert int((row_blocks["id"] < 0).sum()) == np.prod(expected) - num_rows
    back = blocks.join(row_blocks, num_rows)
    np.testing.assert_array_equal(back["x"], rows["x"])
    np.testing.assert_array_equal(back["id"], rows["id"])


def test_take_and_put():
    row_blocks = jnp.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(blocks.take(row_blocks, 1), [2, 3])
    changed = blocks.put(row_blocks, jnp.int32(2), jnp.zeros(2))
    np.testing.assert_array_equal(changed, [[0, 1], [2, 3], [0, 0]])


@pytest.mark.parametrize("num_blocks", [1, 3])
def test_map_and_fold_visit_every_block(num_blocks):
    row_blocks = jnp.arange(2.0 * num_blocks).reshape(num_blocks, 2)
    np.testing.assert_array_equal(
        blocks.map_blocks(lambda x: 2 * x, row_blocks), 2 * row_blocks
    )
    total = blocks.fold(lambda x: 2 * x, jnp.add, row_blocks)
    np.testing.assert_array_equal(total, 2 * row_blocks.sum(0))


def test_a_single_block_is_processed_without_a_loop():
    def visit(x):
        doubled = blocks.map_blocks(lambda block: 2 * block, x)
        return blocks.fold(lambda block: 2 * block, jnp.add, doubled)

    for num_blocks, has_loop in [(1, False), (2, True)]:
        text = str(jax.make_jaxpr(visit)(jnp.ones((num_blocks, 4))))
        assert ("scan" in text) == has_loop


def test_pairs_above_the_diagonal():
    pairs = blocks.pairs_above_diagonal(jnp.ones((3, 1)))
    np.testing.assert_array_equal(pairs, [[0, 1], [0, 2], [1, 2]])


def test_all_pairs():
    pairs = blocks.all_pairs(jnp.ones((2, 1)), jnp.ones((3, 1)))
    expected = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    np.testing.assert_array_equal(pairs, expected)
