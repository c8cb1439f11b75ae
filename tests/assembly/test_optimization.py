import jax.numpy as jnp
import pytest

from configs import common, mnist
from simclr_jax.assembly import optimization


def smoke(**changes):
    config = mnist.get_config("smoke")
    config.update(changes)
    return config


def test_num_steps_takes_precedence_over_epochs():
    config = smoke(num_steps=7, epochs=3, batch_size=10)
    assert optimization.compute_length(config, num_images=105).num_steps == 7
    config = smoke(num_steps=None, epochs=3, batch_size=10)
    length = optimization.compute_length(config, num_images=105)
    assert (length.num_steps, length.steps_per_epoch) == (30, 10)


def test_warmup_is_at_most_half_of_a_run():
    config = smoke(num_steps=10, batch_size=10)
    config.optimizer.warmup_epochs = 5.0
    assert optimization.compute_length(config, num_images=100).warmup_steps == 5


def test_builds_the_learning_rate_schedule():
    config = common.get_base()
    config.batch_size = 4096
    length = optimization.compute_length(config, num_images=1_281_167)
    assert length.steps_per_epoch == 312
    schedule, peak = optimization.build_schedule(config, length)
    assert peak == pytest.approx(4.8)
    assert float(schedule(length.warmup_steps)) == pytest.approx(4.8)


@pytest.mark.usefixtures("standard_promotion")
def test_builds_an_optimizer_that_decreases_a_parameter():
    config = smoke()
    params = {"kernel": jnp.ones((2, 2))}
    optimizer = optimization.build_optimizer(config, lambda step: 0.1, 0.1, params)
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    assert (updates["kernel"] < 0).all()
    assert optimization.optimizer_rules(config) == ()
