import jax.numpy as jnp
import pytest
from flax import nnx

from simclr_jax import training
from simclr_jax.core import errors

pytestmark = pytest.mark.quick

# A trace does not look at the state.
STATE = training.TrainState(*nnx.split(nnx.List([])))


def test_steps_are_two_numbers():
    assert training.parse_steps("10:15") == (10, 15)


@pytest.mark.parametrize("text", ["10", "15:10", "0:3", "a:b", ":", "1:2:3"])
def test_other_texts_are_refused(text):
    with pytest.raises(errors.UserError, match="FIRST:LAST"):
        training.parse_steps(text)


@pytest.mark.parametrize("num_steps", [2, 5])
def test_a_trace_is_written_even_if_the_run_ends_in_it(tmp_path, num_steps):
    profile = training.Profile(tmp_path / "profile", first=2, last=3)
    for step in range(1, num_steps + 1):
        profile(step, STATE, {"loss": jnp.zeros(()) + step})
    profile.close()
    assert list(tmp_path.rglob("*.xplane.pb"))


def test_a_run_that_is_over_writes_none(tmp_path):
    profile = training.Profile(tmp_path / "profile", first=2, last=3)
    profile(7, STATE, {})
    profile.close()
    assert not list(tmp_path.iterdir())
