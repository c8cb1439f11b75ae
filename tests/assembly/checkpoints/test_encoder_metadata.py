import jax
import ml_collections
import pytest
from flax import nnx
from methods import tiny

from simclr_jax import data, encoders
from simclr_jax.assembly.checkpoints import encoder_metadata
from simclr_jax.core import errors

EVALUATION = ml_collections.ConfigDict({"size": 8})


def describe(encoder):
    images = data.open_images(data.open_source("synthetic:10x10x3:4"), canvas=16)
    return encoder_metadata.describe(encoder, evaluation=EVALUATION, images=images)


@pytest.mark.parametrize("shape", [(8, 8, 3), None])
def test_builds_an_encoder_from_its_description(shape):
    encoder = nnx.eval_shape(
        lambda: encoders.build(
            "resnet18",
            stem="small_image",
            image_shape=shape,
            num_channels=None if shape else 3,
            rngs=nnx.Rngs(0),
        )
    )
    described = describe(encoder)
    assert described["feature_dim"] == 512
    assert described["preprocessing"] == {"size": 8}
    assert described["stored_shape"] == [10, 10, 3] and not described["is_padded"]
    built = encoder_metadata.build(described)
    assert nnx.to_pure_dict(nnx.state(built)) == nnx.to_pure_dict(nnx.state(encoder))
    assert all(
        isinstance(leaf, jax.ShapeDtypeStruct)
        for leaf in jax.tree.leaves(nnx.state(built))
    )


def test_error_for_an_encoder_not_built_by_name_names_the_remedy():
    described = describe(tiny.TinyEncoder(num_channels=3, rngs=nnx.Rngs(0)))
    assert (
        described["name"] is None and described["class"] == "methods.tiny.TinyEncoder"
    )
    with pytest.raises(
        errors.CheckpointError, match=r"not built by name .*encoder=mod"
    ):
        encoder_metadata.build(described)


def test_describes_format_1_by_its_config():
    config = {
        "encoder": {"name": "convnet"},
        "evaluation": {"size": 8, "proportion": 0.8},
        "compute_dtype": "bfloat16",
        "data": {"source": "mnist_sample", "data_dir": None, "canvas": None},
    }
    meta = {"config": config, "data": {"image_shape": [28, 28, 1]}}
    found = encoder_metadata.of_format_1(meta)
    assert found["encoder"]["image_shape"] == [8, 8, 1]
    assert found["encoder"]["dtype"] == "bfloat16"
    assert found["source"] == {"spec": "mnist_sample", "data_dir": None}
    assert encoder_metadata.build(found["encoder"]).feature_dim == 256
