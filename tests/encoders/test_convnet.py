import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simclr_jax import encoders
from simclr_jax.core import errors

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def encoder():
    return encoders.ConvNet(image_shape=(24, 24, 1), rngs=nnx.Rngs(0))


def test_shapes_of_the_stages(encoder):
    stages = encoder.endpoints(jnp.zeros((2, 24, 24, 1)))
    assert {name: stage.shape[1:] for name, stage in stages.items()} == {
        "first": (12, 12, 32),
        "second": (6, 6, 64),
        "block1": (6, 6, 64),
        "block2": (6, 6, 64),
        "features": (2304,),
    }
    assert encoder.feature_dim == 2304


def test_features_are_the_last_stage_flattened(encoder, rng):
    images = jnp.asarray(rng.uniform(size=(2, 24, 24, 1)).astype(np.float32))
    stages = encoder.endpoints(images)
    flat = np.asarray(stages["block2"]).reshape(2, -1)
    np.testing.assert_array_equal(stages["features"], flat)


def test_rejects_sizes_that_are_not_multiples_of_four():
    with pytest.raises(errors.UserError, match=r"multiples of 4; got 30x28.*to 28"):
        encoders.ConvNet(image_shape=(30, 28, 1), rngs=nnx.Rngs(0))


def test_rejects_images_of_another_shape(encoder):
    with pytest.raises(
        errors.UserError, match=r"built for images of shape \(24, 24, 1"
    ):
        encoder(jnp.zeros((2, 28, 28, 1)))
