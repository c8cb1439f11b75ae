import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax.losses import similarity
from simclr_jax.losses.similarity import algorithms, statistics, tiles
from tests.losses import oracles


def over_others(x, **options):
    """Returns the log-sum-exp of each row over the rows of other images, tiled."""
    image = jnp.broadcast_to(jnp.arange(x.shape[1], dtype=jnp.int32), x.shape[:2])
    return similarity.compare(similarity.Rows(x, image), **options).logsumexp


def dense(x):
    """Returns the log-sum-exp over rows of other images from the dense matrix."""
    num_views, num_images, dim = x.shape
    rows = x.reshape(-1, dim)
    image = jnp.tile(jnp.arange(num_images), num_views)
    s = jnp.where(image[:, None] == image[None, :], -jnp.inf, rows @ rows.T)
    return jax.nn.logsumexp(s, axis=1).reshape(num_views, num_images)


@pytest.mark.parametrize(
    ("num_devices", "algorithm", "is_bounded", "tile_rows"),
    [
        (0, "auto", True, 1024),
        (0, "auto", False, 1024),
        (0, "ring", False, 6),
        (0, "triangular", True, 6),
        (4, "gathered", True, 1024),
        (4, "gathered", False, 6),
        (4, "ring", False, 6),
        (4, "triangular", True, 6),
    ],
)
def test_any_number_of_views_and_any_row_weights(
    rng, make_mesh, monkeypatch, num_devices, algorithm, is_bounded, tile_rows
):
    monkeypatch.setitem(algorithms.TILE_ROWS, "cpu", tile_rows)
    mesh = make_mesh(num_devices) if num_devices else None
    x = jnp.asarray(rng.uniform(-1, 1, size=(3, 12, 5)), jnp.float32)
    g = jnp.asarray(rng.normal(size=(3, 12)), jnp.float32)
    bound = 5.0 if is_bounded else None

    def tiled(x):
        return over_others(x, bound=bound, mesh=mesh, algorithm=algorithm)

    def value_and_pullback(function):
        value, pull = jax.vjp(function, x)
        return value, pull(g)[0]

    got = jax.jit(lambda: value_and_pullback(tiled))()
    expected = jax.jit(lambda: value_and_pullback(dense))()
    oracles.assert_value_close(got[0], expected[0])
    oracles.assert_gradient_close(got[1], expected[1])


def test_ignores_a_bound_that_is_too_large(rng):
    x = jnp.asarray(30 * rng.normal(size=(2, 6, 4)), jnp.float32)
    got = jax.jit(lambda x: over_others(x, bound=1e5, mesh=None, algorithm="auto"))(x)
    oracles.assert_value_close(got, dense(x))


def test_every_row_and_column_of_a_tile_counts_once():
    """If all logits are zero, exp(L) is the number of rows of other images."""
    x = jnp.zeros((2, 9, 3))
    got = over_others(x, bound=1.0, mesh=None, algorithm="auto")
    oracles.assert_value_close(got, np.full((2, 9), np.log(16)))


def test_empty_statistics_are_the_identity_of_merge():
    rows = tiles.Block(jnp.ones((3, 2)), jnp.arange(3))
    read = jnp.full(3, -7.0)  # the case where all logits are negative
    some = statistics.RowStatistics(read, None, statistics.Observed(read, read, read))
    none = statistics.none(rows, distance_scale=jnp.float32(0.1))
    for got in (statistics.merge(some, none), statistics.merge(none, some)):
        jax.tree.map(np.testing.assert_array_equal, got, some)


NUM_ROWS, NUM_COLUMNS, DIM = 24, 48, 5


def make_sides(rng, num_ids):
    """Returns rows [2 12 d] and columns [2 24 d] that share ids and labels."""
    sides = []
    for size in (NUM_ROWS, NUM_COLUMNS):
        tags = rng.integers(0, (num_ids, 4), size=(size, 2)).astype(np.int32)
        x = rng.uniform(-1, 1, size=(2, size // 2, DIM)).astype(np.float32)
        ids, labels = tags.T.reshape(2, 2, size // 2)
        sides.append(similarity.Rows(x, ids, labels))
    return sides


def dense_both(x, y, rows, columns):
    """Returns L and P of the rows, then of the columns, from the dense matrix."""
    s = x.reshape(-1, DIM) @ y.reshape(-1, DIM).T
    keep = rows.id.reshape(-1, 1) != columns.id.reshape(1, -1)
    positive = keep & (rows.label.reshape(-1, 1) == columns.label.reshape(1, -1))
    s = jnp.where(keep, s, -jnp.inf)
    found = []
    for side, axis in ((rows, 1), (columns, 0)):
        logsumexp = jax.nn.logsumexp(s, axis=axis)
        total = jnp.where(positive, s, 0.0).sum(axis)
        found += [logsumexp.reshape(side.id.shape), total.reshape(side.id.shape)]
    return found


def read_both(found):
    return [x for side in found for x in (side.logsumexp, side.positives.total)]


@pytest.mark.parametrize(
    ("num_devices", "algorithm", "bound"),
    [
        (0, "auto", 5.0),
        (0, "ring", None),
        (3, "triangular", 5.0),
        (4, "gathered", None),
        pytest.param(2, "triangular", 5.0, marks=pytest.mark.slow),
        pytest.param(3, "ring", 5.0, marks=pytest.mark.slow),
        pytest.param(1, "auto", 5.0, marks=pytest.mark.slow),
    ],
)
def test_compare_both_equals_the_dense_form(
    rng, make_mesh, monkeypatch, num_devices, algorithm, bound
):
    monkeypatch.setitem(algorithms.TILE_ROWS, "cpu", 7)
    rows, columns = make_sides(rng, num_ids=6)
    options = {
        "bound": bound,
        "mesh": make_mesh(num_devices) if num_devices else None,
        "algorithm": algorithm,
    }
    weights = [rng.normal(size=x.shape) for x in (rows.id, columns.id)] * 2
    weights = [jnp.asarray(weights[k], jnp.float32) for k in (0, 2, 1, 3)]

    def tiled(x, y):
        sides = rows._replace(x=x), columns._replace(x=y)
        return read_both(similarity.compare_both(*sides, **options))

    def value_and_pullback(function, x, y):
        value, pull = jax.vjp(function, x, y)
        return value, pull(weights)

    def dense(x, y):
        return dense_both(x, y, rows, columns)

    got, expected = (
        jax.jit(functools.partial(value_and_pullback, function))(rows.x, columns.x)
        for function in (tiled, dense)
    )
    for one, other in zip(got[0], expected[0], strict=True):
        oracles.assert_gradient_close(one, other)
    for one, other in zip(got[1], expected[1], strict=True):
        oracles.assert_gradient_close(one, other)


def test_compare_both_takes_four_products_in_one_pass():
    """One device with a bound; without one, two passes take six products."""

    def products(algorithm):
        def loss(x, y):
            found = similarity.compare_both(
                similarity.Rows(x, row), similarity.Rows(y, row), **options
            )
            return sum(side.logsumexp.sum() for side in found)

        row = jnp.arange(8, dtype=jnp.int32)[None]
        options = {"bound": 5.0, "mesh": None, "algorithm": algorithm}
        x = jnp.ones((1, 8, 2))
        return str(jax.make_jaxpr(jax.grad(loss, (0, 1)))(x, x)).count("dot_general")

    assert products("triangular") == 4 and products("ring") == 6
