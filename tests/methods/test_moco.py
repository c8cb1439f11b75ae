"""MoCo: loss at chance and floor, in-batch InfoNCE as oracle, the queue."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from methods import tiny

from simclr_jax import augment, losses, methods
from simclr_jax.core import errors, numerics, sharding

pytestmark = pytest.mark.usefixtures("standard_promotion")


def build(**options):
    rngs = nnx.Rngs(0)
    encoder = tiny.TinyEncoder(num_channels=3, rngs=rngs)
    options = {
        "batch_size": 4,
        "queue_size": 12,
        "norm_groups": 1,
        "head": tiny.SMALL["head"],
        **options,
    }
    recipe = tiny.noisy_corner_recipe(size=8)
    return methods.MoCo(encoder, augmentation=recipe, rngs=rngs, **options)


def loss_of(method, query, key):
    outputs = {"query": query[:, None], "key": key[:, None]}
    execution = sharding.Execution()
    return method.loss(outputs, {}, step=jnp.int32(0), execution=execution)[0]


def test_loss_at_chance_and_at_the_floor():
    method = build(temperature=0.2)
    one = jnp.tile(jnp.eye(8)[0], (4, 1))
    method.queue[...] = jnp.tile(jnp.eye(8)[0], (12, 1))
    assert float(loss_of(method, one, one)) == pytest.approx(math.log(13), rel=1e-5)
    method.queue[...] = jnp.tile(jnp.eye(8)[1], (12, 1))
    floor = math.log(1 + 12 * math.exp(-1 / 0.2))
    assert float(loss_of(method, one, one)) == pytest.approx(floor, rel=1e-5)


def test_equals_in_batch_info_nce_if_the_queue_holds_the_other_keys(rng):
    query, key = (jnp.asarray(rng.normal(size=(4, 8)), jnp.float32) for _ in range(2))
    unit = numerics.l2_normalize(key)
    rows = []
    for index in range(4):
        method = build(batch_size=1, queue_size=3)
        method.queue[...] = jnp.delete(unit, index, axis=0)
        rows.append(loss_of(method, query[index : index + 1], key[index : index + 1]))
    expected = losses.info_nce(query, key, None, temperature=0.2)
    np.testing.assert_allclose(np.mean(rows), expected, rtol=1e-5)


def test_queue_holds_the_newest_keys_in_order(rng):
    method = build()
    start = np.array(method.queue[...])
    np.testing.assert_allclose(np.linalg.norm(start, axis=1), 1.0, rtol=1e-5)
    made = rng.normal(size=(5, 4, 1, 8)).astype(np.float32)
    for step in range(5):
        outputs = {"key": jnp.asarray(made[step])}
        method.after_update(outputs, step=jnp.int32(step))
    expected = np.concatenate([made[3], made[4], made[2]])[:, 0]
    np.testing.assert_array_equal(method.queue[...], expected)


def test_symmetric_queues_and_averages_both_directions(key):
    method = build(symmetric=True, queue_size=16, batch_size=4)
    batch = {"image": jnp.asarray(tiny.images(4).images)}
    outputs = method.forward(batch, augment.sample_keys(key, 4))
    assert outputs["query"].shape == outputs["key"].shape == (4, 2, 8)
    execution = sharding.Execution()
    both, _ = method.loss(outputs, batch, step=jnp.int32(0), execution=execution)
    sides = [
        loss_of(method, outputs["query"][:, side], outputs["key"][:, side])
        for side in range(2)
    ]
    assert float(both) == pytest.approx(float(sum(sides)) / 2, rel=1e-5)
    method.after_update(outputs, step=jnp.int32(1))
    np.testing.assert_array_equal(method.queue[8:12], outputs["key"][:, 0])
    np.testing.assert_array_equal(method.queue[12:], outputs["key"][:, 1])


def test_no_gradient_reaches_the_keys(key):
    method = build()
    batch = {"image": jnp.asarray(tiny.images(4).images)}
    graphdef, params, rest = nnx.split(method, nnx.Param, ...)

    def loss(params):
        model = nnx.merge(graphdef, params, rest, copy=True)
        outputs = model.forward(batch, augment.sample_keys(key, 4))
        execution = sharding.Execution()
        return model.loss(outputs, batch, step=jnp.int32(0), execution=execution)[0]

    gradient = nnx.to_pure_dict(jax.jit(jax.grad(loss))(params))
    for leaf in jax.tree.leaves(gradient["target"]):
        np.testing.assert_array_equal(leaf, 0.0)
    assert np.any(gradient["encoder"]["convolution"]["kernel"] != 0)


def test_shuffling_does_not_affect_results_with_frozen_batch_norm(key):
    """Unshuffling restores the order: key i belongs to image i."""
    batch = {"image": jnp.asarray(tiny.images(4).images)}
    found = []
    for groups in (1, 2):
        frozen = nnx.view(build(norm_groups=groups), use_running_average=True)
        found.append(frozen.forward(batch, augment.sample_keys(key, 4))["key"])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queue_size": 10}, r"multiple of the 4 keys of a step; got 10. Use 8 or 12"),
        ({"queue_size": 12, "symmetric": True}, r"multiple of the 8 keys of a step"),
        ({"decay": -0.1}, r"decay must be in \[0.0, 1.0\]"),
        ({"temperature": 0.0}, r"temperature must be a number > 0"),
        ({"norm_groups": 3}, r"batch_size must be a multiple of 3; got 4"),
    ],
)
def test_rejects_wrong_options(options, message):
    with pytest.raises(errors.UserError, match=message):
        build(**options)
