import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simclr_jax.losses import similarity
from simclr_jax.losses.similarity import algorithms, statistics, tiles
from tests.losses import oracles


def over_others(x, **options):
    """The log-sum-exp of each row over the rows of other images, by the engine."""
    image = jnp.broadcast_to(jnp.arange(x.shape[1], dtype=jnp.int32), x.shape[:2])
    return similarity.compare(similarity.Rows(x, image), **options).logsumexp


def dense(x):
    """The log-sum-exp over rows of other images, by the whole matrix."""
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
def test_any_views_and_any_weights_of_the_rows(
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


def test_a_bound_too_large_to_shift_by_is_not_used(rng):
    x = jnp.asarray(30 * rng.normal(size=(2, 6, 4)), jnp.float32)
    got = jax.jit(lambda x: over_others(x, bound=1e5, mesh=None, algorithm="auto"))(x)
    oracles.assert_value_close(got, dense(x))


def test_every_row_and_column_of_a_tile_is_read_once():
    """With all logits zero, L counts the rows of other images."""
    x = jnp.zeros((2, 9, 3))
    got = over_others(x, bound=1.0, mesh=None, algorithm="auto")
    oracles.assert_value_close(got, np.full((2, 9), np.log(16)))


def test_merging_no_statistics_changes_nothing():
    rows = tiles.Block(jnp.ones((3, 2)), jnp.arange(3))
    read = jnp.full(3, -7.0)  # all logits may be negative
    some = statistics.RowStatistics(read, None, statistics.Observed(read, read, read))
    none = statistics.none(rows, distance_scale=jnp.float32(0.1))
    for got in (statistics.merge(some, none), statistics.merge(none, some)):
        jax.tree.map(np.testing.assert_array_equal, got, some)
