import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simclr_jax import augment, data, encoders, evaluation, training

pytestmark = pytest.mark.quick


@pytest.fixture
def encoder():
    return encoders.ConvNet(image_shape=(8, 8, 1), rngs=nnx.Rngs(0))


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (21, 8, 8, 1), dtype=np.uint8)


def freeze(encoder):
    return evaluation.freeze(encoder, augment.evaluation(size=8))


def source_of(images):
    return data.ArraySource("test", images, np.arange(len(images), dtype=np.int32), 21)


def extract(embed, images, **options):
    features, labels = evaluation.extract(embed, source_of(images), **options)
    np.testing.assert_array_equal(labels, np.arange(len(images)))
    return features


def test_the_encoder_is_frozen_batch_norm_included(encoder, images):
    before = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(encoder)))
    embed = freeze(encoder)
    extract(embed, images, batch_size=8)
    after = nnx.to_pure_dict(nnx.state(encoder))
    jax.tree.map(np.testing.assert_array_equal, before, after)


def test_features_do_not_depend_on_the_batch(encoder, images):
    embed = freeze(encoder)
    together = extract(embed, images, batch_size=24)
    alone = np.concatenate(
        [extract(embed, images[i : i + 1]) for i in range(len(images))]
    )
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_features_use_the_running_statistics(encoder, images):
    pixels = jnp.asarray(images, jnp.float32) / 255
    encoder(pixels * 3)  # moves the running statistics
    features = extract(freeze(encoder), images)
    frozen = nnx.view(encoder, use_running_average=True)
    np.testing.assert_allclose(features, frozen(pixels), rtol=1e-5, atol=1e-5)
    assert not np.allclose(features, encoder(pixels), atol=1e-2)


def test_no_gradient_flows_to_the_module(encoder, images):
    embed = freeze(encoder)
    gradient = jax.grad(lambda x: embed(x).sum())(jnp.asarray(images, jnp.float32))
    assert not np.any(gradient)


@pytest.mark.parametrize("num_devices", [1, 8])
def test_features_do_not_depend_on_devices(encoder, images, num_devices):
    mesh = training.make_mesh(num_devices=num_devices)
    embed = freeze(encoder)
    got = extract(embed, images, batch_size=12, mesh=mesh)
    expected = extract(embed, images)
    assert got.shape == (21, encoder.feature_dim)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_padding_pixels_do_not_affect_features(encoder, rng):
    sizes = np.asarray([(5, 8), (8, 6), (12, 12)], np.int32)
    noise = rng.integers(0, 256, (2, 3, 12, 12, 1), dtype=np.uint8)
    filled = noise[1].copy()
    for image, other, (height, width) in zip(*noise, sizes, strict=True):
        other[:height, :width] = image[:height, :width]
    labels = np.zeros(3, np.int32)
    features = [
        evaluation.extract(
            freeze(encoder), data.ArraySource("test", images, labels, 1, sizes=sizes)
        )[0]
        for images in noise
    ]
    assert not np.array_equal(noise[0], filled)
    np.testing.assert_allclose(features[0], features[1], rtol=1e-5, atol=1e-6)


def test_count_parameters(encoder):
    kernels = (1 * 32 + 32 * 64 + 4 * 64 * 64) * 9
    assert evaluation.count_parameters(encoder) == kernels + 2 * (32 + 5 * 64)
