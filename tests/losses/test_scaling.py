import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from simclr_jax.losses import scaling


def test_products_of_scaled_rows_are_logits(rng):
    x = jnp.asarray(rng.normal(size=(2, 4, 5)), jnp.bfloat16)
    rows = scaling.scaled(x, jnp.float32(0.25))
    assert rows.dtype == jnp.float32
    np.testing.assert_allclose(jnp.sum(rows * rows, axis=-1), 4, rtol=1e-6)


def test_bound_is_known_unless_the_temperature_is_traced():
    assert scaling.bound_on_logits(0.25) == 4
    assert scaling.bound_on_logits(jnp.float32(0.25)) is None


def test_rows_are_resharded_if_mesh_axes_are_explicit(make_mesh):
    x = jnp.ones((4, 2))
    assert scaling.divided(x, None) is x and scaling.replicated(x, make_mesh(2)) is x
    mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2])
    with jax.set_mesh(mesh):
        assert scaling.divided(x, mesh).sharding.spec == PartitionSpec("data", None)
        assert scaling.replicated(x, mesh).sharding.is_fully_replicated
