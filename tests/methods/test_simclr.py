import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from helpers import TOLERANCE

from simclr_jax import augment, encoders, heads, losses, methods
from simclr_jax.core import errors

pytestmark = pytest.mark.quick


def build(mesh=None, temperature=0.2):
    rngs = nnx.Rngs(0)
    encoder = encoders.ConvNet(image_shape=(8, 8, 1), rngs=rngs)
    head = heads.ProjectionHead(
        encoder.feature_dim, hidden_dim=16, output_dim=8, batch_norm=False, rngs=rngs
    )
    recipe = augment.mnist(size=8)
    return methods.SimCLR(
        encoder, head, augmentation=recipe, temperature=temperature, mesh=mesh
    )


@pytest.fixture
def batch(rng):
    return {"image": jnp.asarray(rng.integers(0, 256, (16, 12, 12, 1), dtype=np.uint8))}


def test_loss_is_ntxent_of_the_projected_views(key, batch):
    method = build()
    loss, metrics = nnx.jit(methods.SimCLR.loss)(method, batch, key=key, step=0)
    make_views = jax.jit(augment.two_views, static_argnums=2)
    a, b = make_views(key, batch["image"], augment.mnist(size=8))
    both = jnp.stack([a, b], axis=1).reshape(32, 8, 8, 1)
    z = nnx.jit(methods.SimCLR.project)(build(), both).reshape(16, 2, 8)
    expected = losses.ntxent_reference(z[:, 0], z[:, 1], temperature=0.2)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert {"contrastive_accuracy", "alignment", "uniformity"} <= set(metrics)


def test_the_key_decides_the_views(key, batch):
    loss = nnx.jit(methods.SimCLR.loss)
    first, _ = loss(build(), batch, key=key, step=0)
    again, _ = loss(build(), batch, key=key, step=0)
    other, _ = loss(build(), batch, key=jax.random.key(1), step=0)
    assert first == again
    assert first != other


def test_eight_devices_equal_one(key, batch, make_mesh):
    def loss_on(mesh):
        method = build(mesh)
        graphdef, state = nnx.split(method)
        sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
        placed = jax.device_put(batch, sharding)

        @jax.jit
        def compute(state, placed):
            return nnx.merge(graphdef, state).loss(placed, key=key, step=jnp.int32(0))[
                0
            ]

        return compute(state, placed)

    np.testing.assert_allclose(
        loss_on(make_mesh(8)), loss_on(make_mesh(1)), **TOLERANCE["devices"]
    )


def test_h_and_z_are_different_layers(batch):
    images = jnp.zeros((2, 8, 8, 1))
    assert build().embed(images).shape == (2, 256)
    assert build().project(images).shape == (2, 8)


def test_other_views_than_two_of_one_size_are_refused(key, batch):
    large, small = augment.mnist(size=8), augment.mnist(size=4)
    for recipe in ((large, large, large), (large, small)):
        method = build()
        method.augmentation = recipe
        with pytest.raises(errors.UserError, match=r"two views of one size; this one"):
            jax.eval_shape(functools.partial(method.loss, key=key, step=0), batch)


def test_temperature_must_be_positive():
    with pytest.raises(
        errors.UserError, match=r"temperature must be a number > 0; got 0"
    ):
        build(temperature=0.0)
