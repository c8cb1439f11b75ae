import jax
import pytest

from simclr_jax import training
from simclr_jax.core import errors, sharding


def test_make_mesh_takes_all_or_the_first_devices():
    assert training.make_mesh().size == len(jax.devices()) == 8
    mesh = training.make_mesh(num_devices=2)
    assert mesh.axis_names == ("data",)
    assert mesh.axis_types == (jax.sharding.AxisType.Auto,)
    assert mesh.size == 2


def test_mesh_of_given_devices():
    chosen = jax.devices()[2:6]
    mesh = sharding.mesh_of(chosen)
    assert list(mesh.devices) == chosen
    assert mesh.axis_types == training.make_mesh().axis_types
    assert sharding.split(mesh).shard_shape((8, 3)) == (2, 3)
    assert sharding.replicated(mesh).shard_shape((8, 3)) == (8, 3)


@pytest.mark.parametrize("num_devices", [0, 9])
def test_rejects_unavailable_numbers_of_devices(num_devices):
    with pytest.raises(
        errors.UserError, match=f"1 and the 8 devices.*got {num_devices}"
    ):
        training.make_mesh(num_devices=num_devices)


def test_rejects_a_batch_that_devices_do_not_divide():
    training.check_batch_size(16, training.make_mesh(num_devices=8))
    with pytest.raises(
        errors.UserError, match=r"batch_size must be a multiple of 8; got"
    ):
        training.check_batch_size(20, training.make_mesh(num_devices=8))
    with pytest.raises(errors.UserError, match=r"use 16 or 24, or fewer devices"):
        training.check_batch_size(20, training.make_mesh(num_devices=8))
    with pytest.raises(errors.UserError, match=r"use 8, or fewer devices"):
        training.check_batch_size(6, training.make_mesh(num_devices=8))


def test_rejects_a_batch_that_micro_batches_do_not_divide():
    mesh = training.make_mesh(num_devices=8)
    training.check_batch_size(32, mesh, accumulate=4)
    with pytest.raises(
        errors.UserError,
        match=r"multiple of 32; got 40. There are 8 devices and 4 micro-batches "
        r"\(accumulate\); use 32 or 64, or fewer of either",
    ):
        training.check_batch_size(40, mesh, accumulate=4)


def test_execution_is_hashable(make_mesh):
    one = sharding.Execution(make_mesh(2), accumulate=4)
    assert hash(one) == hash(sharding.Execution(make_mesh(2), accumulate=4))
    assert one != sharding.Execution(make_mesh(4), accumulate=4)


def test_rejects_zero_micro_batches():
    with pytest.raises(errors.UserError, match=r"accumulate must be a whole number"):
        sharding.Execution(accumulate=0)
