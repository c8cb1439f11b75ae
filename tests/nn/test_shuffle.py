"""Tests of the keyed shuffle, its inverse, and its independence of devices."""

import jax
import jax.numpy as jnp
import numpy as np

from simclr_jax.nn import normalization, shuffle


def rows(rng, number=16):
    return {
        "image": jnp.asarray(rng.normal(size=(number, 3, 2)), jnp.float32),
        "key": jax.random.split(jax.random.key(3), number),
    }


def test_order_is_a_permutation_determined_by_the_key(key):
    order = shuffle.permutation(key, 50)
    np.testing.assert_array_equal(jnp.sort(order), np.arange(50))
    np.testing.assert_array_equal(
        order, jax.jit(lambda k: shuffle.permutation(k, 50))(key)
    )
    other = shuffle.permutation(jax.random.key(1), 50)
    assert not np.array_equal(order, other)


def test_orders_are_uniform(key):
    orders = jax.vmap(lambda k: shuffle.permutation(k, 4))(jax.random.split(key, 4000))
    for place in range(4):
        counts = np.bincount(orders[:, place], minlength=4)
        # Five standard deviations of a count.
        assert np.all(np.abs(counts - 1000) < 5 * np.sqrt(750))


def test_unshuffle_inverts_shuffle(key, rng):
    batch = rows(rng)
    back = shuffle.unshuffle_rows(key, shuffle.shuffle_rows(key, batch))
    np.testing.assert_array_equal(back["image"], batch["image"])
    data = jax.random.key_data
    np.testing.assert_array_equal(data(back["key"]), data(batch["key"]))


def test_eight_devices_equal_one_and_keep_the_sharding(key, rng, make_mesh):
    batch, mesh = rows(rng), make_mesh(8)
    split = jax.NamedSharding(mesh, jax.P("data"))
    run = jax.jit(lambda key, batch: shuffle.shuffle_rows(key, batch, mesh=mesh))
    got = run(key, jax.device_put(batch, split))
    assert got["image"].sharding.is_equivalent_to(split, 3)
    expected = shuffle.shuffle_rows(key, batch)
    np.testing.assert_array_equal(got["image"], expected["image"])


def test_shuffling_changes_only_the_groups_of_batch_norm(key, rng):
    x = jnp.asarray(rng.normal(size=(16, 3)), jnp.float32)
    norm = normalization.BatchNorm(3)

    def shuffled(norm):
        return shuffle.unshuffle_rows(key, norm(shuffle.shuffle_rows(key, x)))

    np.testing.assert_allclose(shuffled(norm), norm(x), rtol=0, atol=1e-5)
    normalization.set_batch_norm_groups(norm, 4)
    by_place, by_shuffle = norm(x), shuffled(norm)
    assert np.abs(by_place - by_shuffle).max() > 0.1
    groups = np.asarray(x)[np.asarray(shuffle.permutation(key, 16))].reshape(4, 4, 3)
    centered = groups - groups.mean(1, keepdims=True)
    expected = centered / np.sqrt(groups.var(1, keepdims=True) + 1e-5)
    order = np.argsort(shuffle.permutation(key, 16))
    np.testing.assert_allclose(
        by_shuffle, expected.reshape(16, 3)[order], rtol=0, atol=1e-5
    )
