"""The training step compiled for TPUs that are not attached, and its collectives."""

import dataclasses
import math

import jax
import pytest

from configs import imagenet_resnet50
from simclr_jax import aot, assembly
from simclr_jax.aot import compilation, work

POINTWISE = "nn/pointwise.py"  # its sums include the gradient of the kernel
BATCH_NORM = (
    "nn/moments.py",
    "nn/normalization.py",
    "nn/pooling.py",
    POINTWISE,
)
SCALARS = 64  # bytes of the means of the loss and its metrics, if not merged


def smoke(name, image_size):
    config = imagenet_resnet50.get_config("smoke")
    config.encoder = {"name": name}
    config.augmentation.size = config.evaluation.size = image_size
    config.data.canvas = image_size + 8
    config.batch_size = 16
    return config


@dataclasses.dataclass
class Step:
    """A compiled step with its config and arguments."""

    config: object
    arguments: tuple
    found: aot.Prediction

    @property
    def gathers(self):
        """Collectives that implement an all-gather, of any kind."""
        return [one for one in self.found.collectives if "all_gather" in one.origin]

    @property
    def num_kernel_parameters(self):
        """Number of parameters of kernels, whose gradients are the large ones."""
        method = self.arguments[2][0]
        leaves = jax.tree.leaves(method)
        return sum(math.prod(leaf.shape) for leaf in leaves if len(leaf.shape) > 1)


def compile_for(config, name):
    pytest.importorskip("libtpu")
    aot.forget_devices()
    where = aot.describe(name)
    arguments = assembly.abstract_arguments(
        config, mesh=where.mesh, num_images=1_281_167
    )
    with jax.numpy_dtype_promotion("standard"):
        compiled = aot.compile_step(*arguments)
    assert isinstance(compiled, aot.Compiled)
    found = aot.predict(compiled, where, batch_size=config.batch_size)
    return Step(config, arguments, found)


@pytest.fixture(scope="module")
def small():
    return compile_for(smoke("convnet", 32), "v5e:2x2")


def check_collectives(step):
    """Checks that only BatchNorm, the loss and the gradients communicate."""
    assert {one.group_size for one in step.found.collectives} == {
        step.found.topology.num_chips
    }
    rest = [one for one in step.found.collectives if one not in step.gathers]
    assert {one.kind for one in rest} == {"all-reduce"}
    sums = [one for one in rest if one.origin.startswith(BATCH_NORM)]
    assert {one.is_backward for one in sums} == {False, True}
    large = [one for one in rest if one not in sums and one.num_bytes > SCALARS]
    (gradients,) = large
    assert (gradients.count, gradients.is_backward) == (1, True)
    in_sums = sum(
        one.num_bytes
        for one in sums
        if one.is_backward and one.origin.startswith(POINTWISE)
    )
    others = step.num_kernel_parameters - in_sums / 4
    # In bfloat16 or float32, each of them once.
    assert gradients.num_bytes / others == pytest.approx(
        2 if gradients.num_bytes < 3 * others else 4, rel=0.01
    )


def check_gathers(step):
    """Checks for one gather of the embeddings and one of a few numbers per row."""
    rows = 2 * step.config.batch_size
    embeddings, statistics = sorted(step.gathers, key=lambda one: -one.num_bytes)
    assert (embeddings.count, statistics.count) == (1, 1)
    assert embeddings.num_bytes == rows * step.config.method.head.output_dim * 4
    assert statistics.num_bytes <= rows * 4 * 4


def test_the_step_has_the_expected_collectives(small):
    check_collectives(small)
    sums = [one for one in small.found.collectives if one.origin.startswith(BATCH_NORM)]
    # Without BatchNorm's second pass, which only the first steps execute.
    forward, backward = (
        sum(one.count for one in sums if one.is_backward == is_backward)
        for is_backward in (False, True)
    )
    assert 0 < forward <= backward


def test_the_loss_gathers_embeddings_and_statistics_once(small):
    check_gathers(small)


def test_the_step_compiles_for_the_tpu_and_not_for_this_machine(small):
    # All operations of the color jitter but the first. On a CPU, a loop over the
    # images (four per chip) makes the views.
    assert [turns for _, turns in small.found.compiled.module.loops()] == [2]


def test_the_state_is_donated(small):
    compiled = small.found.compiled
    state = sum(
        math.prod(leaf.shape) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(small.arguments[2])
    )
    assert compiled.argument_bytes > state
    assert 0.95 * state < compiled.shared_bytes <= compiled.output_bytes
    assert compiled.total_bytes > compiled.argument_bytes + compiled.temporary_bytes


def test_flops_are_mostly_matrix_products(small):
    compiled = small.found.compiled
    once, _ = work.matrix_flops(compiled.module)
    assert 0.5 * compiled.flops < once < compiled.flops


def test_writes_nothing_to_the_compilation_cache(small, tmp_path):
    del small
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    try:
        with compilation._without_cache():
            jax.jit(lambda x: x + 1).lower(1.0).compile()
    finally:
        jax.config.update("jax_compilation_cache_dir", None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("message", "needed", "available"),
    [
        (
            "RESOURCE_EXHAUSTED: CompileTimeHbmOom: Ran out of memory on HBM, the "
            "total memory required for HLO temporaries (57.59G) exceeds available HBM "
            "(15.75G). HLO module: jit_train_step.",
            "57.59GiB",
            "15.75GiB",
        ),
        (
            "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in "
            "memory space hbm. Used 20.50G of 15.75G hbm.",
            "20.50GiB",
            "15.75GiB",
        ),
    ],
)
def test_parses_the_error_of_a_program_that_does_not_fit(message, needed, available):
    found = compilation.read_too_large(message)
    assert found == compilation.TooLarge(needed, available)
    assert compilation.read_too_large("INTERNAL: something else") is None


@pytest.mark.slow
def test_reports_a_step_that_does_not_fit():
    pytest.importorskip("libtpu")
    aot.forget_devices()
    config = smoke("convnet", 224)
    config.batch_size = 65536
    arguments = assembly.abstract_arguments(
        config, mesh=aot.describe("v5e:2x2").mesh, num_images=1_281_167
    )
    with jax.numpy_dtype_promotion("standard"):
        found = aot.compile_step(*arguments)
    assert isinstance(found, aot.TooLarge)
    assert found.available == "15.75GiB"
    assert float(found.needed.removesuffix("GiB")) > 15.75


@pytest.mark.slow
def test_compiling_twice_gives_the_same_details():
    first, second = (compile_for(smoke("resnet18", 96), "v5e:2x4") for _ in range(2))
    assert aot.details(first.found) == aot.details(second.found)
    check_collectives(first)
    check_gathers(first)


@pytest.mark.slow
def test_the_recipe_for_imagenet_on_a_pod():
    step = compile_for(imagenet_resnet50.get_config(), "v5e:16x16")
    check_collectives(step)
    check_gathers(step)
    counts = {}
    for one in step.found.collectives:
        if one.origin.startswith(BATCH_NORM):
            counts[one.is_backward] = counts.get(one.is_backward, 0) + one.count
    # 53 of the encoder and 2 of the head; the 4 on shortcuts go with their neighbors.
    assert counts == {False: 51, True: 51}
    views = 2 * 4096 / 256
    # Three times the forward pass of 4.1 G multiplications and additions, less the
    # gradient of the first convolution with respect to the views.
    assert 23.5e9 < step.found.flops / views < 25.5e9
