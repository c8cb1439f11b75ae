import ast
import inspect
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from helpers import TOLERANCE
from training import tiny

from simclr_jax import augment, training

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.quick]


def run(mesh, num_steps=4, state=None, start=0):
    state = tiny.build_state(mesh) if state is None else state
    arrays, losses = state.arrays, []
    for _, batch in zip(
        range(num_steps), tiny.build_batches(mesh).start_at(start), strict=False
    ):
        arrays, metrics = training.train_step(
            state.graphdef, tiny.execution(mesh), arrays, batch, tiny.root_key(mesh)
        )
        losses.append(float(metrics["loss"]))
    return training.TrainState(state.graphdef, arrays), losses


def test_a_step_updates_weights_statistics_and_the_count():
    mesh = training.make_mesh(num_devices=1)
    before = jax.tree.map(np.array, tiny.build_state(mesh).items())
    state, _ = run(mesh, num_steps=2)
    after = state.items()
    assert int(after["opt"]["step"]) == 2
    first = lambda items: items["encoder"]["first"]
    assert not np.array_equal(
        first(before)["conv"]["kernel"], first(after)["conv"]["kernel"]
    )
    assert not np.array_equal(
        first(before)["norm"]["mean"], first(after)["norm"]["mean"]
    )


@pytest.mark.parametrize("num_devices", [2, 8])
def test_losses_do_not_depend_on_the_number_of_devices(num_devices):
    _, one = run(training.make_mesh(num_devices=1))
    _, many = run(training.make_mesh(num_devices=num_devices))
    np.testing.assert_allclose(many, one, **TOLERANCE["devices"])


def test_the_step_depends_only_on_its_arguments():
    first, losses = run(training.make_mesh(num_devices=1))
    again, same_losses = run(training.make_mesh(num_devices=1))
    assert losses == same_losses
    jax.tree.map(np.testing.assert_array_equal, first.items(), again.items())


def test_traces_the_step_once():
    training.train_step.clear_cache()
    run(training.make_mesh(num_devices=1))
    assert training.train_step._cache_size() == 1


def test_the_state_is_donated():
    mesh = training.make_mesh(num_devices=1)
    state = tiny.build_state(mesh)
    leaf = jax.tree.leaves(state.arrays)[0]
    run(mesh, num_steps=1, state=state)
    assert leaf.is_deleted()


def test_gradient_norm_belongs_to_the_loss():
    mesh = training.make_mesh(num_devices=1)
    state = tiny.build_state(mesh)
    batch = next(tiny.build_batches(mesh).start_at(0))
    method_def, params, rest = nnx.split(state.method(), nnx.Param, ...)
    key = jax.random.fold_in(tiny.root_key(mesh), 0)
    keys = augment.sample_keys(key, tiny.BATCH_SIZE)
    execution = tiny.execution(mesh)

    def loss(params):
        method = nnx.merge(method_def, params, rest, copy=True)
        outputs = method.forward(batch, keys)
        return method.loss(outputs, batch, step=jnp.int32(0), execution=execution)[0]

    grads = jax.jit(jax.grad(loss))(params)
    expected = np.sqrt(sum(np.sum(np.square(g)) for g in jax.tree.leaves(grads)))
    _, metrics = training.train_step(
        state.graphdef, tiny.execution(mesh), state.arrays, batch, tiny.root_key(mesh)
    )
    np.testing.assert_allclose(metrics["gradient_norm"], expected, rtol=1e-4)


def several_at_once(mesh):
    state = tiny.build_state(mesh)
    batches = tuple(itertools.islice(tiny.build_batches(mesh).start_at(0), 2))
    return state, (tiny.execution(mesh), state.arrays, batches, tiny.root_key(mesh))


def test_several_steps_in_one_call_equal_several_calls():
    mesh = training.make_mesh(num_devices=2)
    one_by_one, losses = run(mesh, num_steps=2)
    state, arguments = several_at_once(mesh)
    arrays, metrics = training.train_steps(state.graphdef, *arguments)
    np.testing.assert_allclose(metrics["loss"], losses, **TOLERANCE["devices"])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, **TOLERANCE["parameters"]),
        training.TrainState(state.graphdef, arrays).items(),
        one_by_one.items(),
    )


@pytest.mark.parametrize(("platform", "has_loop"), [("cpu", False), ("tpu", True)])
def test_several_steps_are_a_loop_except_on_cpus(platform, has_loop):
    state, arguments = several_at_once(training.make_mesh(num_devices=1))
    traced = training.train_steps.trace(state.graphdef, *arguments)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    loops = re.findall(r"stablehlo\.while.*?: (.*)", text)
    stored = rf"tensor<2x{tiny.BATCH_SIZE}x\d+x\d+x1xui8>"  # both batches
    assert any(re.search(stored, types) for types in loops) == has_loop


def test_train_step_is_short():
    source = inspect.getsource(training.train_step.__wrapped__)
    _, *body = ast.parse(source).body[0].body  # without the docstring
    assert body[-1].end_lineno - body[0].lineno < 40


def test_the_loss_of_one_batch_falls():
    mesh = training.make_mesh(num_devices=1)
    state = tiny.build_state(mesh, learning_rate=3e-3)
    batch = next(tiny.build_batches(mesh).start_at(0))
    arrays, losses = state.arrays, []
    for _ in range(40):
        arrays, metrics = training.train_step(
            state.graphdef, tiny.execution(mesh), arrays, batch, tiny.root_key(mesh)
        )
        losses.append(float(metrics["loss"]))
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
