"""Accumulation: views, loss, gradient and update equal those of the whole batch."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from helpers import TOLERANCE

from simclr_jax import augment, encoders, losses, methods, optim, training
from simclr_jax.core import errors, sharding
from simclr_jax.nn import normalization
from simclr_jax.training import accumulation

pytestmark = pytest.mark.usefixtures("standard_promotion")

BATCH_SIZE, COUNT = 32, 4
ONE_GROUP = ((".*", {"decay": 0, "trust": False}),)
CLOSE = TOLERANCE["loss_gradient"]
FAST_TO_COMPILE = {"xla_backend_optimization_level": "0"}


def noisy(key, image):
    """An augmentation that compiles quickly."""
    return image[2:10, 2:10] + 0.3 * jax.random.normal(key, (8, 8, 1))


class Tiny(nnx.Module):
    """A linear map of the pixels, a norm and a ReLU."""

    def __init__(self, norm, *, rngs):
        self.linear = nnx.Linear(64, 24, use_bias=False, rngs=rngs)
        self.norm = norm(24, rngs)
        self.feature_dim = 24

    def __call__(self, images):
        pixels = images.reshape(images.shape[0], -1)
        return jax.nn.relu(self.norm(self.linear(pixels)))


def layer_norm(width, rngs):
    return nnx.LayerNorm(width, rngs=rngs)


def batch_norm(width, rngs):
    norm = normalization.BatchNorm(width)
    norm.mean[...] = jax.random.normal(rngs.params(), (width,))
    return norm


def build(norm):
    rngs = nnx.Rngs(0)
    return methods.SimCLR(
        Tiny(norm, rngs=rngs),
        augmentation=noisy,
        temperature=0.5,
        head={"hidden_dim": 16, "output_dim": 8, "batch_norm": False},
        rngs=rngs,
    )


@pytest.fixture
def images(rng):
    return jnp.asarray(rng.integers(0, 256, (BATCH_SIZE, 12, 12, 1), dtype=np.uint8))


def update(norm, images, *, num_devices, accumulate):
    """Makes one step with momentum, whose first trace is the gradient."""
    mesh = training.make_mesh(num_devices=num_devices)
    state = training.initialize(
        lambda: build(norm),
        lambda params: optim.build("sgd", 0.1, params=params, rules=ONE_GROUP),
        mesh=mesh,
    )
    split = jax.NamedSharding(mesh, jax.P("data"))
    batch = jax.device_put({"image": images}, split)
    key = jax.device_put(jax.random.key(0), sharding.replicated(mesh))
    execution = sharding.Execution(mesh, accumulate)
    step = training.train_step
    lowered = step.lower(state.graphdef, execution, state.arrays, batch, key)
    compiled = lowered.compile(compiler_options=FAST_TO_COMPILE)
    arrays, metrics = compiled(state.arrays, batch, key)
    items = training.TrainState(state.graphdef, arrays).items()
    return items, jax.device_get(metrics), compiled


def flat(tree):
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves(tree)}


def leaves(tree):
    return jax.tree_util.tree_leaves_with_path(tree)


def assert_equal_in_norm(got, expected):
    """Asserts that arrays differ by less than a fraction of their norms."""
    got, expected = flat(got), flat(expected)
    assert got.keys() == expected.keys()
    for name, want in expected.items():
        error = np.linalg.norm(np.asarray(got[name], np.float64) - np.asarray(want))
        assert error <= CLOSE["rtol"] * np.linalg.norm(want), name


def test_accumulated_update_equals_the_whole_batch(images):
    whole, metrics, _ = update(layer_norm, images, num_devices=1, accumulate=1)
    for num_devices in (1, 8):
        check_update(images, num_devices, whole, metrics)


def check_update(images, num_devices, whole, metrics):
    parts, found, _ = update(
        layer_norm, images, num_devices=num_devices, accumulate=COUNT
    )
    assert found.keys() == metrics.keys()
    for name, expected in metrics.items():
        np.testing.assert_allclose(found[name], expected, err_msg=name, **CLOSE)
    assert_equal_in_norm(parts, whole)  # weights, gradient (the trace) and counts
    counts = [leaf for _, leaf in leaves(parts["opt"]) if leaf.dtype.kind in "iu"]
    assert counts and all(int(count) == 1 for count in counts)


def reference(method, images, key):
    """Computes loss and gradient with BatchNorm per micro-batch, without a scan."""
    a, b = augment.two_views(augment.sample_keys(key, BATCH_SIZE), images, noisy)
    graphdef, params, rest = nnx.split(method, nnx.Param, ...)
    chunks = [(a[i::COUNT], b[i::COUNT]) for i in range(COUNT)]

    def project(params, views):
        merged = nnx.merge(graphdef, params, rest, copy=True)
        return merged.head(merged.encoder(views))

    def loss(params):
        z = [project(params, jnp.concatenate(chunk)) for chunk in chunks]
        first, second = zip(*(jnp.split(one, 2) for one in z), strict=True)
        return losses.ntxent_reference(
            jnp.concatenate(first), jnp.concatenate(second), temperature=0.5
        )

    linear = method.encoder.linear
    hidden = [linear(jnp.concatenate(c).reshape(-1, 64)) for c in chunks]
    means = sum(jnp.mean(x, axis=0) for x in hidden) / COUNT
    variances = sum(jnp.var(x, axis=0) for x in hidden) / COUNT
    return *jax.value_and_grad(loss)(params), means, variances


def test_batch_norm_uses_micro_batches_and_updates_averages_once(images):
    num_devices = 8
    items, metrics, compiled = update(
        batch_norm, images, num_devices=num_devices, accumulate=COUNT
    )
    method = build(batch_norm)
    key = jax.random.fold_in(jax.random.key(0), 0)
    by_hand = functools.partial(reference, method)
    run = jax.jit(by_hand, compiler_options=FAST_TO_COMPILE)
    loss, gradient, means, variances = run(images, key)
    np.testing.assert_allclose(metrics["loss"], loss, **CLOSE)
    expected = nnx.to_pure_dict(gradient)
    (trace,) = (t for t in traces(items["opt"]) if same_names(t, expected))
    assert_equal_in_norm(trace, expected)
    norm, start = items["encoder"]["norm"], method.encoder.norm
    averages = 0.9 * start.mean[...] + 0.1 * means
    np.testing.assert_allclose(norm["mean"], averages, **CLOSE)
    averages = 0.9 * start.var[...] + 0.1 * variances
    np.testing.assert_allclose(norm["var"], averages, **CLOSE)
    moved = re.findall(r"= (.*) (?:all-\w+|collective-\w+)\(", compiled.as_text())
    assert moved
    assert not [shapes for shapes in moved if "u8[" in shapes or "12,12" in shapes]


def traces(tree):
    """Yields every subtree of nested dicts."""
    if isinstance(tree, dict):
        yield tree
        for child in tree.values():
            yield from traces(child)


def same_names(tree, other):
    return flat(tree).keys() == flat(other).keys()


def test_the_views_are_the_same_in_any_micro_batch(images, key):
    keys = augment.sample_keys(key, BATCH_SIZE)

    def draw(_, part):
        images, keys = part
        return augment.two_views(keys, images, noisy)

    jit = functools.partial(jax.jit, compiler_options=FAST_TO_COMPILE)
    run = jit(
        lambda batch: training.map_micro_batches(
            Tiny(layer_norm, rngs=nnx.Rngs(0)), draw, batch, num_micro_batches=COUNT
        )
    )
    expected = jit(lambda images: augment.two_views(keys, images, noisy))(images)
    for got, want in zip(run((images, keys)), expected, strict=True):
        np.testing.assert_allclose(got, want, **TOLERANCE["image"])


def test_random_streams_continue_across_micro_batches():
    dropout = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    x = jnp.ones((6, 40))
    drop = lambda module, x: module(x)
    masks = training.map_micro_batches(dropout, drop, x, num_micro_batches=3)
    again = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    expected = jnp.stack([again(x[:2]) for _ in range(3)], axis=1).reshape(6, 40)
    np.testing.assert_array_equal(masks, expected)
    assert int(dropout.rngs.count[...]) == int(again.rngs.count[...]) == 3


def test_rejects_writes_that_would_be_lost():
    class Counter(nnx.Module):
        def __init__(self):
            self.calls = nnx.Variable(jnp.zeros(()))

    def count(module, x):
        module.calls[...] += 1
        return x

    with pytest.raises(errors.UserError, match=r"calls of type Variable was written"):
        training.map_micro_batches(
            Counter(), count, jnp.ones((4, 1)), num_micro_batches=2
        )


def test_rejects_a_batch_that_does_not_divide(images, key, make_mesh):
    keys = augment.sample_keys(key, BATCH_SIZE)
    for accumulate, mesh, multiple in ((3, None, 3), (8, make_mesh(8), 64)):
        execution = sharding.Execution(mesh, accumulate)
        forward = functools.partial(accumulation.forward, execution=execution)
        with pytest.raises(errors.UserError, match=f"must be a multiple of {multiple}"):
            nnx.eval_shape(forward, build(layer_norm), {"image": images}, keys)


def temporaries(accumulate):
    """Returns the bytes of temporaries of a gradient (ResNet-18, 64 images)."""

    def make():
        rngs = nnx.Rngs(0)
        return methods.SimCLR(
            encoders.build("resnet18", image_shape=(16, 16, 3), rngs=rngs),
            augmentation=augment.RandomResizedCrop(size=16),
            temperature=0.5,
            head={"output_dim": 8},
            rngs=rngs,
        )

    graphdef, params, rest = nnx.split(nnx.eval_shape(make), nnx.Param, ...)

    def loss(params, rest, images):
        method = nnx.merge(graphdef, params, rest, copy=True)
        batch = {"image": images}
        keys = augment.sample_keys(jax.random.key(0), 64)
        execution = sharding.Execution(accumulate=accumulate)
        outputs = accumulation.forward(method, batch, keys, execution=execution)
        return method.loss(outputs, batch, step=jnp.int32(0), execution=execution)[0]

    images = jax.ShapeDtypeStruct((64, 20, 20, 3), jnp.uint8)
    gradient = jax.jit(
        jax.value_and_grad(loss),
        compiler_options=FAST_TO_COMPILE,
    )
    compiled = gradient.lower(params, rest, images).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_micro_batches_save_memory():
    """Measured: 203 MB and 82 MB, of which the gradient is 45 MB."""
    assert temporaries(COUNT) < 0.5 * temporaries(1)
