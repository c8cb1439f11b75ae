"""Tests of the ``Method`` interface, run for every registered method."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from helpers import TOLERANCE
from jax.experimental.compilation_cache import compilation_cache
from methods import tiny

import simclr_jax
from simclr_jax import aot, assembly, methods, training
from simclr_jax.assembly.checkpoints import loaded as loaded_encoders
from simclr_jax.core import errors

pytestmark = pytest.mark.usefixtures("standard_promotion")

NAMES = sorted(methods.METHODS)
FAST_TO_COMPILE = {"xla_backend_optimization_level": "0"}


@pytest.fixture(scope="module", autouse=True)
def _shared_programs(tmp_path_factory):
    """Compiles equal programs once: the runs of a test, and tests, share many."""
    options = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("programs")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {option: getattr(jax.config, option) for option in options}
    for option, value in options.items():
        jax.config.update(option, value)
    compilation_cache.reset_cache()
    yield
    for option, value in before.items():
        jax.config.update(option, value)
    compilation_cache.reset_cache()


@pytest.fixture
def fast_compilation():
    """Compiles programs without most optimizations; equal programs stay equal."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def train_steps(run, num_steps):
    """Returns the arrays by path and the metrics of each step."""
    state = run.initial_state()
    key = training.place(assembly.root_key(run.config), run.mesh)
    batches, arrays, history = run.batches.start_at(0), state.arrays, []
    step = None
    for _ in range(num_steps):
        batch = next(batches)
        if step is None:
            lowered = training.train_step.lower(
                state.graphdef, run.execution, arrays, batch, key
            )
            step = lowered.compile(compiler_options=FAST_TO_COMPILE)
        arrays, metrics = step(arrays, batch, key)
        history.append(jax.device_get(metrics))
    return flat(training.TrainState(state.graphdef, arrays)), history


def flat(state):
    """Returns the arrays of a state in host memory, by path."""
    paths, _ = jax.tree_util.tree_flatten_with_path(state.items())
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.array(leaf)
        for path, leaf in paths
    }


def assert_same_training(one, other):
    """Compares losses, gradients and states up to rounding."""
    for mine, theirs in zip(one[1], other[1], strict=True):
        for metric in mine:
            np.testing.assert_allclose(
                mine[metric], theirs[metric], rtol=1e-4, atol=1e-5, err_msg=metric
            )
    assert one[0].keys() == other[0].keys()
    scales: dict[str, float] = {}
    for path, value in one[0].items():
        item, largest = path.split("/")[0], float(np.max(np.abs(value), initial=1.0))
        scales[item] = max(scales.get(item, 1.0), largest)
    tolerance = TOLERANCE["parameters"]
    for path, value in one[0].items():
        # Sums that cancel (a bias before a norm) are only as exact as their terms.
        atol = tolerance["atol"] * scales[path.split("/")[0]]
        np.testing.assert_allclose(
            value, other[0][path], rtol=tolerance["rtol"], atol=atol, err_msg=path
        )


@pytest.mark.usefixtures("fast_compilation")
def test_eight_devices_equal_one_device(name):
    config = tiny.make_config(name)
    one = train_steps(tiny.make_run(config), 3)
    config.execution.num_devices = 8
    config.execution.loss_algorithm = "ring"
    assert_same_training(train_steps(tiny.make_run(config), 3), one)
    assert all(np.isfinite(metrics["loss"]) for metrics in one[1])
    assert one[1][0]["gradient_norm"] > 0


@pytest.mark.usefixtures("fast_compilation")
def test_micro_batches_equal_the_whole_batch(name):
    config = tiny.make_config(name, norm=False)
    config.execution.num_devices = 2
    whole = train_steps(tiny.make_run(config), 2)
    config.execution.accumulate = 4
    assert_same_training(train_steps(tiny.make_run(config), 2), whole)


class Killed(Exception):
    pass


def kill_after(step_to_die):
    def hook(step, state, metrics):
        if step == step_to_die:
            raise Killed

    return hook


@pytest.mark.usefixtures("fast_compilation")
def test_a_resumed_run_equals_an_uninterrupted_run(name, tmp_path):
    run = tiny.make_run(tiny.make_config(name))
    whole, step = run.train(training.prepare_workdir(tmp_path / "whole"))
    assert step == tiny.NUM_STEPS
    workdir = training.prepare_workdir(tmp_path / "killed")
    with pytest.raises(Killed):
        run.train(workdir, hooks=[kill_after(3)])
    resumed, _ = run.train(workdir)
    expected, found = flat(whole), flat(resumed)
    assert expected.keys() == found.keys()
    for path, value in expected.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)
    check_encoder_is_restored(workdir, whole, run)


def check_encoder_is_restored(workdir, state, run):
    """Loads the encoder from a checkpoint without its config or method."""
    loaded = simclr_jax.load(workdir)
    assert loaded.step == tiny.NUM_STEPS
    images = run.images.images[:5]
    embed = loaded_encoders.from_method(state.method(), run.metadata(), 4).embed
    features = loaded.embed(images)
    assert features.shape == (5, 12) and features.dtype == np.float32
    np.testing.assert_array_equal(features, embed(images))


@pytest.mark.usefixtures("fast_compilation")
def test_frozen_parameters_are_not_updated(name):
    config = tiny.make_config(name)
    config.freeze = ("^encoder/convolution",)
    run = tiny.make_run(config)
    before = flat(run.initial_state())
    after, _ = train_steps(run, 2)
    kernel = "encoder/convolution/kernel"
    np.testing.assert_array_equal(after[kernel], before[kernel])
    moved = [path for path in after if not np.array_equal(after[path], before[path])]
    assert any(path.startswith("method/") for path in moved)
    state = run.initial_state()
    method = state.method()
    trained = {
        "/".join(map(str, path))
        for path, _ in nnx.to_flat_state(nnx.state(method, method.trainable))
    }
    remembered = [p for p in after if p.startswith("opt/") and p.endswith("kernel")]
    assert not any("target" in path for path in [*trained, *remembered])
    assert not any("encoder/convolution" in path for path in [*trained, *remembered])


def test_forward_returns_per_sample_outputs_with_h(name):
    run = tiny.make_run(tiny.make_config(name))
    method = run.initial_state().method()
    batch = next(run.batches.start_at(0))
    assert set(batch) == set(type(method).inputs)
    keys = jax.random.split(jax.random.key(0), tiny.BATCH_SIZE)
    outputs = nnx.eval_shape(type(method).forward, method, batch, keys)
    assert outputs["h"].shape == (tiny.BATCH_SIZE, 12)
    assert all(value.shape[0] == tiny.BATCH_SIZE for value in outputs.values())


@pytest.mark.usefixtures("fast_compilation")
def test_bfloat16_keeps_float32_losses_and_parameters(name):
    config = tiny.make_config(name)
    config.compute_dtype = "bfloat16"
    arrays, history = train_steps(tiny.make_run(config), 2)
    assert all(value.dtype != jnp.bfloat16 for value in arrays.values())
    for metrics in history:
        assert metrics["loss"].dtype == np.float32
        assert all(np.isfinite(value) for value in metrics.values())


def test_compiles_for_a_tpu(name):
    where = aot.describe("v5e:2x2")
    config = tiny.make_config(name)
    config.execution.num_devices = None
    arguments = assembly.abstract_arguments(
        config, mesh=where.mesh, num_images=100, image_shape=(10, 10, 3)
    )
    found = aot.compile_step(*arguments)
    assert found.argument_bytes > 0


def test_rejects_wrong_inputs(name):
    config = tiny.make_config(name)
    config.augmentation = {"name": "swav", "sizes": (8, 4), "counts": (2, 2)}
    run = tiny.make_run(config)
    batch = next(run.batches.start_at(0))
    keys = jax.random.split(jax.random.key(0), tiny.BATCH_SIZE)
    method = nnx.eval_shape(run.build_method)
    with pytest.raises(errors.UserError, match="two views of one size"):
        nnx.eval_shape(type(method).forward, method, batch, keys)
    config = tiny.make_config(name)
    config.method.tau = 1.0
    with pytest.raises(errors.UserError, match=f"Unknown option of method '{name}'"):
        assembly.config.check(config)
