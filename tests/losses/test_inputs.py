import jax
import jax.numpy as jnp
import pytest

from simclr_jax.core import errors
from simclr_jax.losses import inputs


def test_views_must_have_one_shape_and_a_float_type():
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


def test_rejects_temperatures_that_are_not_positive():
    assert inputs.check_temperature(0.5).dtype == jnp.float32
    assert jax.jit(inputs.check_temperature)(jnp.float32(-1)) == -1
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(errors.UserError, match=r"temperature must be a number > 0"):
            inputs.check_temperature(wrong)


def test_mesh_must_have_a_data_axis_that_divides_the_batch(make_mesh):
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


def test_rejects_malformed_labeled_views():
    views, labels = jnp.ones((3, 2, 4)), jnp.zeros(3, jnp.int32)
    inputs.check_labeled_views("loss", views, labels, None)
    inputs.check_labeled_views("loss", views[:, :1], labels.astype(jnp.uint8), None)
    for wrong, of_labels, message in (
        (views[:, 0], labels, r"loss needs the views .* got shape \(3, 4\)\. Stack"),
        (views, labels[:2], r"one label for each image, \[3\]; got .* \(2,\)"),
        (views, labels.astype(jnp.float32), r"integer labels; got float32"),
        (views.astype(jnp.int32), labels, r"floating-point embeddings; got int32"),
        (views[:1, :1], labels[:1], r"at least 2 rows .* got 1"),
    ):
        with pytest.raises(errors.UserError, match=message):
            inputs.check_labeled_views("loss", wrong, of_labels, None)


def test_rejects_malformed_queries():
    x = jnp.ones((3, 2))
    inputs.check_queries("loss", x, x, None, None)
    inputs.check_queries("loss", x[:1], x[:1], jnp.ones((7, 2)), None)
    for query, negatives, message in (
        (x[:1], None, r"at least 2 images, or there are no negatives; got 1"),
        (x, jnp.ones((7, 3)), r"\[m 2\]; got shape \(7, 3\)"),
        (x, jnp.ones((0, 2)), r"at least 1 negative; got none"),
        (x, jnp.ones((7, 2), jnp.int32), r"floating-point embeddings; got int32"),
    ):
        with pytest.raises(errors.UserError, match=message):
            inputs.check_queries("loss", query, query, negatives, None)
