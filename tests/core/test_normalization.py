import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simclr_jax.core import normalization


def test_running_statistics_follow_the_decay(rng):
    norm = normalization.batch_norm(3, rngs=nnx.Rngs(0))
    x = rng.normal(2.0, 3.0, size=(64, 3)).astype(np.float32)
    norm(jnp.asarray(x))
    np.testing.assert_allclose(norm.mean[...], 0.1 * x.mean(0), rtol=1e-5)
    expected = 0.9 + 0.1 * x.var(0)
    np.testing.assert_allclose(norm.var[...], expected, rtol=1e-4)


@pytest.mark.usefixtures("standard_promotion")
def test_bfloat16_output_with_float32_statistics():
    norm = normalization.batch_norm(3, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    assert norm(jnp.ones((4, 3), jnp.bfloat16)).dtype == jnp.bfloat16
    assert norm.mean[...].dtype == norm.scale[...].dtype == jnp.float32


def test_shift_can_be_left_out():
    norm = normalization.batch_norm(3, use_bias=False, rngs=nnx.Rngs(0))
    assert len(nnx.to_pure_dict(nnx.state(norm, nnx.Param))) == 1
