import pytest
from training import tiny

from simclr_jax import training

pytestmark = pytest.mark.usefixtures("standard_promotion")


def run(hooks, stop, mesh=None):
    mesh = mesh or training.make_mesh(num_devices=1)
    return training.run(
        tiny.build_state(mesh),
        tiny.build_batches(mesh).start_at(0),
        key=tiny.root_key(mesh),
        start_step=0,
        num_steps=tiny.NUM_STEPS,
        hooks=hooks,
        stop=stop,
    )


def test_hooks_see_every_step_in_order():
    seen = []
    first = lambda step, state, metrics: seen.append(("first", step))
    second = lambda step, state, metrics: seen.append(("second", step))
    state, step = run([first, second], training.StopRequest())
    assert step == tiny.NUM_STEPS == int(state.items()["opt"]["step"])
    assert seen[:3] == [("first", 1), ("second", 1), ("first", 2)]
    assert len(seen) == 2 * tiny.NUM_STEPS


def test_it_leaves_after_the_step_in_which_it_was_asked_to():
    stop = training.StopRequest()

    def ask(step, state, metrics):
        stop.requested = step == 5

    state, step = run([ask], stop)
    assert step == 5 == int(state.items()["opt"]["step"])
