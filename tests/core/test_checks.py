import jax.numpy as jnp
import pytest

from simclr_jax.core import checks, errors


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "1", True])
def test_check_positive_rejects_other_values(value):
    with pytest.raises(
        errors.UserError, match=r"temperature must be a number > 0; got"
    ):
        checks.check_positive("temperature", value)


@pytest.mark.parametrize("value", [0, 1.5, "2", True])
def test_check_positive_int_rejects_other_values(value):
    with pytest.raises(errors.UserError, match=r"epochs must be a whole number >= 1"):
        checks.check_positive_int("epochs", value)


def test_valid_values_pass():
    checks.check_positive("temperature", 0.1)
    checks.check_positive_int("epochs", 3)
    checks.check_in_range("share", 0.5, low=0.0, high=1.0)
    checks.check_interval("area", (0.1, 1.0), low=0.0, high=1.0)
    checks.check_rank("a", jnp.zeros((2, 3)), 2, shape="b d")
    checks.check_divisible("batch_size", 8, by=4, remedy="")


def test_rejects_wrong_ranges_ranks_and_multiples():
    with pytest.raises(errors.UserError, match=r"share must be in \[0.0, 1.0\]; got 2"):
        checks.check_in_range("share", 2, low=0.0, high=1.0)
    with pytest.raises(errors.UserError, match=r"area must be a pair"):
        checks.check_interval("area", (0.9, 0.1), low=0.0, high=1.0)
    with pytest.raises(errors.UserError, match=r"a must have shape \[b d\]; got"):
        checks.check_rank("a", jnp.zeros(3), 2, shape="b d")
    with pytest.raises(errors.UserError, match=r"multiple of 4; got 6. Use 8."):
        checks.check_divisible("batch_size", 6, by=4, remedy="Use 8.")
