import jax
import jax.numpy as jnp
import numpy as np

from simclr_jax.core import numerics


def test_rows_get_unit_length(rng):
    x = rng.normal(size=(5, 7)).astype(np.float32) * 1e4
    norms = np.linalg.norm(numerics.l2_normalize(jnp.asarray(x)), axis=-1)
    np.testing.assert_allclose(norms, 1.0, rtol=1e-6)


def test_zero_rows_stay_zero_with_a_finite_gradient():
    x = jnp.zeros((2, 3))
    assert not np.any(numerics.l2_normalize(x))
    gradient = jax.grad(lambda x: numerics.l2_normalize(x).sum())(x)
    assert np.isfinite(gradient).all()


def test_result_is_float32_whatever_the_input():
    assert numerics.l2_normalize(jnp.ones((2, 3), jnp.bfloat16)).dtype == jnp.float32
