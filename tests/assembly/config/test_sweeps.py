import pytest

from configs import mnist
from simclr_jax import assembly
from simclr_jax.core import errors


def test_creates_a_config_for_each_combination_of_values():
    config = mnist.get_config("smoke")
    found = assembly.sweep(config, ["batch_size=8,32", "compute_dtype=bfloat16"])
    assert {name: one.batch_size for name, one in found.items()} == {
        "batch_size=8, compute_dtype=bfloat16": 8,
        "batch_size=32, compute_dtype=bfloat16": 32,
    }
    assert all(one.compute_dtype == "bfloat16" for one in found.values())
    assert (config.batch_size, config.compute_dtype) == (16, "float32")


def test_sweeps_fields_of_parts_and_accepts_no_fields():
    config = mnist.get_config("smoke")
    (one,) = assembly.sweep(config, ["augmentation.size=12"]).values()
    assert one.augmentation.size == 12
    (name,) = assembly.sweep(config, [])
    assert name == "batch_size=16"


@pytest.mark.parametrize(
    "field", ["batchsize=8", "batch_size", "batch_size=many", "encoder.nothing=1"]
)
def test_rejects_missing_fields(field):
    with pytest.raises(errors.UserError, match=rf"--sweep={field} cannot be applied"):
        assembly.sweep(mnist.get_config("smoke"), [field])
