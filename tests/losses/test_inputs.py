import jax
import jax.numpy as jnp
import pytest

from simclr_jax.core import errors
from simclr_jax.losses import inputs


def test_views_of_one_shape_and_float_type():
    x = jnp.ones((3, 2))
    inputs.check_views("loss", x, x.astype(jnp.bfloat16))
    for other in (x[:2], x[:, :1], x[0]):
        with pytest.raises(
            errors.UserError, match=r"loss needs .* \[b d\]; got a \(3,"
        ):
            inputs.check_views("loss", x, other)
    with pytest.raises(errors.UserError, match=r"shape \[b d\]; got a \(3,\)"):
        inputs.check_views("loss", x[:, 0], x[:, 0])
    with pytest.raises(errors.UserError, match=r"at least 2 images.* got 1"):
        inputs.check_views("loss", x[:1], x[:1])
    with pytest.raises(errors.UserError, match=r"floating-point embeddings; got int32"):
        inputs.check_views("loss", x, x.astype(jnp.int32))


def test_temperature_is_checked_where_it_is_known():
    assert inputs.check_temperature(0.5).dtype == jnp.float32
    assert jax.jit(inputs.check_temperature)(jnp.float32(-1)) == -1
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(errors.UserError, match=r"temperature must be a number > 0"):
            inputs.check_temperature(wrong)


def test_mesh_has_a_data_axis_that_divides_the_batch(make_mesh):
    x = jnp.ones((6, 2))
    inputs.check_mesh("loss", x, None)
    inputs.check_mesh("loss", x, make_mesh(2))
    with pytest.raises(errors.UserError, match=r"size of loss .* multiple of 4; got 6"):
        inputs.check_mesh("loss", x, make_mesh(4))
    mesh = jax.make_mesh(
        (2,),
        ("model",),
        axis_types=(jax.sharding.AxisType.Auto,),
        devices=jax.devices()[:2],
    )
    with pytest.raises(errors.UserError, match=r"axis named 'data'; got .*'model'"):
        inputs.check_mesh("loss", x, mesh)
