import math

import pytest

from simclr_jax import losses
from simclr_jax.core import errors


@pytest.mark.parametrize(
    "batch_size, expected", [(128, 5.54), (512, 6.93), (4096, 9.01)]
)
def test_chance_loss_is_the_log_of_the_number_of_candidates(batch_size, expected):
    assert losses.chance_loss(batch_size) == math.log(2 * batch_size - 1)
    assert round(losses.chance_loss(batch_size), 2) == expected


@pytest.mark.parametrize(
    "batch_size, temperature, expected",
    [(128, 0.1, 0.01), (512, 0.2, 2.07), (1024, 0.5, 5.63), (4096, 1.0, 8.01)],
)
def test_floor_loss_for_orthogonal_negatives(batch_size, temperature, expected):
    assert round(losses.floor_loss(batch_size, temperature=temperature), 2) == expected


def test_floor_is_below_chance_and_approaches_it_at_high_temperature():
    assert losses.floor_loss(8, temperature=0.1) < losses.chance_loss(8)
    assert math.isclose(
        losses.floor_loss(8, temperature=1e9), losses.chance_loss(8), rel_tol=1e-8
    )


def test_errors_report_the_value():
    with pytest.raises(errors.UserError, match=r"at least 2.*got 1"):
        losses.chance_loss(1)
    with pytest.raises(errors.UserError, match=r"whole number >= 1; got -2"):
        losses.floor_loss(-2, temperature=0.1)
    with pytest.raises(errors.UserError, match=r"temperature must be .* got 0"):
        losses.floor_loss(2, temperature=0.0)
