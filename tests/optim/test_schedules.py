import math

import numpy as np
import pytest

from simclr_jax import optim
from simclr_jax.core import errors


@pytest.mark.parametrize(
    ("scaling", "base", "expected"),
    [("linear", 0.3, 4.8), ("sqrt", 0.075, 4.8), ("none", 0.3, 0.3)],
)
def test_scaling_at_batch_size_4096(scaling, base, expected):
    got = optim.scale_learning_rate(base, batch_size=4096, scaling=scaling)
    assert got == pytest.approx(expected)


def test_warmup_then_cosine():
    schedule = optim.warmup_cosine(2.0, num_steps=100, warmup_steps=10)
    assert float(schedule(0)) == 0.0
    assert float(schedule(5)) == pytest.approx(1.0)
    assert float(schedule(10)) == pytest.approx(2.0)
    halfway = 2.0 * 0.5 * (1 + math.cos(math.pi * 0.5))
    assert float(schedule(55)) == pytest.approx(halfway)
    assert float(schedule(100)) == pytest.approx(0.0, abs=1e-6)


def test_no_warmup_starts_at_the_peak():
    assert float(optim.warmup_cosine(2.0, num_steps=10)(0)) == 2.0


def test_stays_between_zero_and_the_peak():
    schedule = optim.warmup_cosine(1.0, num_steps=37, warmup_steps=5)
    rates = np.array([float(schedule(step)) for step in range(38)])
    assert rates.min() >= 0.0
    assert rates.max() <= 1.0


def test_errors():
    with pytest.raises(errors.UserError, match=r"below num_steps = 10; got 10"):
        optim.warmup_cosine(1.0, num_steps=10, warmup_steps=10)
    with pytest.raises(
        errors.UserError, match=r"Unknown learning-rate scaling 'square'"
    ):
        optim.scale_learning_rate(1.0, batch_size=2, scaling="square")
    with pytest.raises(errors.UserError, match=r"learning_rate must be a number > 0"):
        optim.scale_learning_rate(0.0, batch_size=2, scaling="none")
