import functools

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from training import tiny

from simclr_jax import training
from simclr_jax.training import loop

pytestmark = pytest.mark.usefixtures("standard_promotion")


@functools.partial(jax.jit, static_argnums=(0, 1))
def count_step(graphdef, execution, arrays, batch, key):
    """Takes the place of ``train_step``: counts, and returns the count as the loss."""
    method, optimizer = nnx.merge(graphdef, arrays)
    optimizer.step[...] += 1
    metrics = {"loss": optimizer.step[...].astype(jnp.float32)}
    return nnx.state((method, optimizer)), metrics


def count_steps(graphdef, execution, arrays, batches, key):
    losses = []
    for batch in batches:
        arrays, metrics = count_step(graphdef, execution, arrays, batch, key)
        losses.append(metrics["loss"])
    return arrays, {"loss": jnp.stack(losses)}


@pytest.fixture(scope="module")
def state():
    mesh = training.make_mesh(num_devices=1)
    with jax.numpy_dtype_promotion("standard"):
        return tiny.build_state(mesh, build=tiny.build_linear_method)


@pytest.fixture
def run(state, monkeypatch):
    """Returns a function that runs the loop with steps that only count."""
    monkeypatch.setattr(loop, "train_step", count_step)
    monkeypatch.setattr(loop, "train_steps", count_steps)
    mesh = training.make_mesh(num_devices=1)

    def run(hooks, *, start_step=0, **options):
        return training.run(
            state,
            tiny.build_batches(mesh).start_at(start_step),
            key=tiny.root_key(mesh),
            execution=tiny.execution(mesh),
            start_step=start_step,
            hooks=hooks,
            **options,
        )

    return run


def test_runs_the_training_step():
    mesh = training.make_mesh(num_devices=1)
    state, step = training.run(
        tiny.build_state(mesh, build=tiny.build_linear_method),
        tiny.build_batches(mesh).start_at(0),
        key=tiny.root_key(mesh),
        execution=tiny.execution(mesh),
        num_steps=3,
    )
    assert step == 3 == int(state.items()["opt"]["step"])


def test_calls_hooks_after_every_step_in_order(run):
    seen = []
    first = lambda step, state, metrics: seen.append(("first", step))
    second = lambda step, state, metrics: seen.append(("second", step))
    state, step = run([first, second], num_steps=tiny.NUM_STEPS)
    assert step == tiny.NUM_STEPS == int(state.items()["opt"]["step"])
    assert seen[:3] == [("first", 1), ("second", 1), ("first", 2)]
    assert len(seen) == 2 * tiny.NUM_STEPS


def test_stops_after_the_step_of_the_request(run):
    stop = training.distributed.StopRequest()

    def request(step, state, metrics):
        stop.requested = step == 5

    state, step = run([request], stop=stop, num_steps=tiny.NUM_STEPS)
    assert step == 5 == int(state.items()["opt"]["step"])


def test_stops_at_the_end_of_the_batches(run):
    _, step = run([], num_steps=tiny.NUM_STEPS + 5)
    assert step == tiny.NUM_STEPS


def test_calls_of_several_steps_end_at_multiples_and_at_the_end(run):
    seen, losses = [], []

    def note(step, state, metrics):
        seen.append((step, metrics["loss"].shape))
        losses.append(metrics["loss"])

    goodput = training.metrics.Goodput()
    state, step = run([note], steps_per_call=2, goodput=goodput, num_steps=5)
    assert seen == [(2, (2,)), (4, (2,)), (5, (1,))]
    assert step == 5 == int(state.items()["opt"]["step"])
    assert jnp.concatenate(losses).tolist() == [1, 2, 3, 4, 5]
    assert goodput.read()["compile_seconds"] > 0


def test_a_run_resumed_between_calls_completes_the_call_first(run):
    seen = []
    note = lambda step, state, metrics: seen.append(step)
    run([note], steps_per_call=2, start_step=3, num_steps=8)
    assert seen == [4, 6, 8]
