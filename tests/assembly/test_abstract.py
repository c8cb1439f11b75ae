import jax
import jax.numpy as jnp
import pytest

from configs import imagenet_resnet50, mnist
from simclr_jax import assembly
from simclr_jax.core import errors


def smoke():
    config = mnist.get_config("smoke")
    config.data.source = "tfds:not_there"  # never opened
    return config


def test_shapes_equal_those_of_a_run():
    config = mnist.get_config("smoke")
    run = assembly.assemble(config)
    initial = run.initial_state()
    _, execution, arrays, batch, key = assembly.abstract_arguments(
        config,
        mesh=run.mesh,
        num_images=len(run.images),
        image_shape=run.images.image_shape,
    )
    describe = lambda leaf: (leaf.shape, leaf.dtype, leaf.sharding)
    assert execution == run.execution
    found = jax.tree.map(describe, arrays)
    assert found == jax.tree.map(describe, initial.arrays)
    real = next(run.batches.start_at(0))["image"]
    assert describe(batch["image"]) == describe(real)
    root = assembly.root_key(config)
    assert (key.shape, key.dtype) == (root.shape, root.dtype)


def test_abstract_batches_of_many_sizes_are_padded(make_mesh):
    config = imagenet_resnet50.get_config("smoke")
    for canvas, side in ((128, 128), (None, 128)):
        config.data.canvas = canvas
        *_, batch, _ = assembly.abstract_arguments(
            config, mesh=make_mesh(4), num_images=100
        )
        pixels, size = batch["image"]
        assert (pixels.shape, pixels.dtype) == ((8, side, side, 3), jnp.uint8)
        assert (size.shape, size.dtype) == ((8, 2), jnp.int32)
        assert pixels.sharding.shard_shape(pixels.shape)[0] == 2


def test_opens_no_data_and_rejects_invalid_configs(make_mesh):
    mesh = make_mesh(8)
    assembly.abstract_arguments(smoke(), mesh=mesh, num_images=60_000)
    config = smoke()
    config.batch_size = 20
    with pytest.raises(errors.UserError, match=r"batch_size must be a multiple of 8"):
        assembly.abstract_arguments(config, mesh=mesh, num_images=60_000)
    config = smoke()
    config.num_steps = None
    with pytest.raises(errors.UserError, match=r"num_images must be at least"):
        assembly.abstract_arguments(config, mesh=mesh, num_images=3)
