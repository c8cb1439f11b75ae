import pytest
from flax import nnx

from simclr_jax import encoders
from simclr_jax.core import errors


def test_passes_options_to_the_encoder():
    encoder = nnx.eval_shape(
        lambda: encoders.build(
            "resnet50", image_shape=(32, 32, 3), width=2, rngs=nnx.Rngs(0)
        )
    )
    assert encoder.feature_dim == 4096


def test_unknown_names_and_options_list_the_choices():
    with pytest.raises(errors.UserError, match=r"Unknown encoder 'resnet5'.*resnet50"):
        encoders.build("resnet5", image_shape=(32, 32, 3), rngs=nnx.Rngs(0))
    with pytest.raises(errors.UserError, match=r"Did you mean 'width'.*stem"):
        encoders.build("resnet50", image_shape=(32, 32, 3), rngs=nnx.Rngs(0), widht=2)


def test_resnet_needs_only_the_number_of_channels():
    encoder = nnx.eval_shape(
        lambda: encoders.build(
            "resnet18", num_channels=1, stem="imagenet", rngs=nnx.Rngs(0)
        )
    )
    assert (encoder.num_channels, encoder.feature_dim) == (1, 512)
    with pytest.raises(errors.UserError, match=r"convnet needs image_shape"):
        encoders.build("convnet", num_channels=1, rngs=nnx.Rngs(0))
