import numpy as np
import pytest
from helpers import TOLERANCE
from training import tiny

from simclr_jax import training

pytestmark = pytest.mark.usefixtures("standard_promotion")


def run(hooks, stop, mesh=None, **options):
    mesh = mesh or training.make_mesh(num_devices=1)
    options = {"start_step": 0, "num_steps": tiny.NUM_STEPS} | options
    return training.run(
        tiny.build_state(mesh, build=tiny.build_linear_method),
        tiny.build_batches(mesh).start_at(options["start_step"]),
        key=tiny.root_key(mesh),
        execution=tiny.execution(mesh),
        hooks=hooks,
        stop=stop,
        **options,
    )


def test_calls_hooks_after_every_step_in_order():
    seen = []
    first = lambda step, state, metrics: seen.append(("first", step))
    second = lambda step, state, metrics: seen.append(("second", step))
    state, step = run([first, second], training.distributed.StopRequest())
    assert step == tiny.NUM_STEPS == int(state.items()["opt"]["step"])
    assert seen[:3] == [("first", 1), ("second", 1), ("first", 2)]
    assert len(seen) == 2 * tiny.NUM_STEPS


def test_stops_after_the_step_of_the_request():
    stop = training.distributed.StopRequest()

    def ask(step, state, metrics):
        stop.requested = step == 5

    state, step = run([ask], stop)
    assert step == 5 == int(state.items()["opt"]["step"])


def test_calls_of_several_steps_end_at_multiples_and_at_the_end():
    seen, losses = [], []

    def note(step, state, metrics):
        seen.append((step, metrics["loss"].shape))
        losses.extend(np.ravel(metrics["loss"]).tolist())

    goodput = training.metrics.Goodput()
    stop = training.distributed.StopRequest()
    options = {"steps_per_call": 2, "goodput": goodput, "num_steps": 5}
    state, step = run([note], stop, **options)
    assert seen == [(2, (2,)), (4, (2,)), (5, (1,))]
    assert step == 5 == int(state.items()["opt"]["step"])
    one_by_one = []
    note = lambda step, state, metrics: one_by_one.append(float(metrics["loss"]))
    run([note], stop, num_steps=5)
    np.testing.assert_allclose(losses, one_by_one, **TOLERANCE["devices"])
    assert goodput.read()["compile_seconds"] > 0


def test_a_run_resumed_between_calls_completes_the_call_first():
    seen = []
    note = lambda step, state, metrics: seen.append(step)
    stop = training.distributed.StopRequest()
    run([note], stop, steps_per_call=2, start_step=3, num_steps=8)
    assert seen == [4, 6, 8]
