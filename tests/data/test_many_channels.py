"""Images of more channels than color has, from the file to the encoder."""

import jax
import numpy as np
import pytest
from flax import nnx

from simclr_jax import augment, data, encoders
from simclr_jax.core import errors


@pytest.fixture
def batch(tmp_path, rng, make_mesh):
    np.save(tmp_path / "x.npy", rng.integers(0, 256, (9, 12, 12, 5), dtype=np.uint8))
    images = data.open_images(data.open_source(f"arrays:{tmp_path}/x.npy"))
    order = data.BatchOrder(9, 4, 2, seed=0)
    return next(data.Batches(images, order, make_mesh(1)).start_at(0))


@pytest.mark.parametrize("recipe", ["mnist", "supervised", "evaluation"])
def test_recipes_without_color_and_encoders_accept_them(batch, recipe):
    view = augment.members(augment.build(recipe, size=8))[0]
    images = augment.as_float(batch["image"])
    views = jax.vmap(view)(jax.random.split(jax.random.key(0), 4), images)
    assert views.shape == (4, 8, 8, 5)
    encoder = encoders.ConvNet(image_shape=(8, 8, 5), rngs=nnx.Rngs(0))
    assert nnx.eval_shape(lambda e, x: e(x), encoder, views).shape[0] == 4


def test_color_operations_raise_an_error_with_a_remedy(batch):
    view = augment.members(augment.build("simclr_v1", size=8))[0]
    with pytest.raises(
        errors.UserError, match=r"three channels.*\(8, 8, 5\).*mnist and"
    ):
        jax.eval_shape(view, jax.random.key(0), augment.as_float(batch["image"])[0])
