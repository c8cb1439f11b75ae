import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from methods import tiny

from simclr_jax import augment, losses, methods, nn
from simclr_jax.core import errors, sharding

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.quick]


def build(**options):
    rngs = nnx.Rngs(0)
    encoder = tiny.TinyEncoder(num_channels=3, rngs=rngs)
    recipe = tiny.noisy_corner_recipe(size=8)
    options = {"head": tiny.SMALL["head"], "temperature": 0.2} | options
    return methods.SimCLR(encoder, augmentation=recipe, rngs=rngs, **options)


@nnx.jit
def compute(method, batch, keys):
    outputs = method.forward(batch, keys)
    execution = sharding.Execution()
    return outputs, method.loss(outputs, batch, step=jnp.int32(0), execution=execution)


@pytest.fixture
def batch():
    return {"image": jnp.asarray(tiny.images(16).images)}


def test_loss_is_ntxent_of_the_projected_views(key, batch):
    keys = augment.sample_keys(key, 16)
    outputs, (loss, metrics) = compute(build(), batch, keys)
    a, b = augment.two_views(keys, batch["image"], tiny.noisy_corner_recipe(size=8))
    method = build()
    h = method.encoder(jnp.stack([a, b], axis=1).reshape(32, 8, 8, 3))
    z = method.head(h).reshape(16, 2, 8)
    expected = losses.ntxent_reference(z[:, 0], z[:, 1], temperature=0.2)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(outputs["h"], h[::2], rtol=1e-4, atol=1e-5)
    assert {"contrastive_accuracy", "alignment", "uniformity"} <= set(metrics)


def test_keys_determine_the_views(key, batch):
    keys = augment.sample_keys(key, 16)
    first, again, other = (
        float(compute(build(), batch, k)[1][0]) for k in (keys, keys, keys[::-1])
    )
    assert first == again != other


def test_embed_returns_the_encoder_output():
    method = build()
    images = jnp.zeros((2, 8, 8, 3))
    np.testing.assert_array_equal(method.embed(images), method.encoder(images))


def test_accepts_a_module_as_head():
    head = nn.ProjectionHead(12, output_dim=5, rngs=nnx.Rngs(1))
    assert build(head=head).head is head


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, r"temperature must be a number > 0; got 0.0"),
        ({"head": {"hiden_dim": 3}}, r"'hiden_dim'. Did you mean 'hidden_dim'"),
    ],
)
def test_rejects_wrong_options(options, message):
    with pytest.raises(errors.UserError, match=message):
        build(**options)


def test_building_a_head_needs_rngs():
    encoder = tiny.TinyEncoder(num_channels=3, rngs=nnx.Rngs(0))
    with pytest.raises(errors.UserError, match=r"needs rngs"):
        methods.SimCLR(encoder, augmentation=tiny.noisy_corner_recipe(size=8))
