import jax
import numpy as np
import pytest
from training import tiny

from simclr_jax import training

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_weights_do_not_depend_on_the_mesh():
    one = tiny.build_state(training.make_mesh(num_devices=1)).items()
    eight = tiny.build_state(training.make_mesh(num_devices=8)).items()
    jax.tree.map(np.testing.assert_array_equal, one, eight)


def test_items_round_trip():
    state = tiny.build_state(training.make_mesh(num_devices=1))
    items = jax.tree.map(lambda leaf: leaf + np.ones((), leaf.dtype), state.items())
    changed = state.with_items(items)
    assert changed.graphdef == state.graphdef
    jax.tree.map(np.testing.assert_array_equal, changed.items(), items)
    assert set(items) == {"encoder", "method", "opt"}
    assert set(items["method"]) == {"head"}
