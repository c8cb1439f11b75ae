"""BYOL against SimSiam, closed-form loss values, and the target network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from methods import tiny

from simclr_jax import augment, methods, nn
from simclr_jax.core import errors, sharding

pytestmark = pytest.mark.usefixtures("standard_promotion")


def build(**options):
    rngs = nnx.Rngs(0)
    encoder = tiny.TinyEncoder(num_channels=3, rngs=rngs)
    small = {name: tiny.SMALL[name] for name in ("head", "predictor")}
    options = {"num_steps": 10, **small, **options}
    recipe = tiny.noisy_corner_recipe(size=8)
    return methods.BYOL(encoder, augmentation=recipe, rngs=rngs, **options)


def loss_of(prediction, wanted):
    outputs = {"prediction": prediction, "target": wanted}
    execution = sharding.Execution()
    return build().loss(outputs, {}, step=jnp.int32(0), execution=execution)[0]


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_loss_is_four_plus_four_times_simsiam(rng):
    p, t = rng.normal(size=(2, 6, 2, 5)).astype(np.float32)
    cosine = lambda a, b: float(np.mean(np.sum(unit(a) * unit(b), axis=-1)))
    simsiam = -(cosine(p[:, 0], t[:, 1]) + cosine(p[:, 1], t[:, 0])) / 2
    found = loss_of(jnp.asarray(p), jnp.asarray(t))
    assert float(found) == pytest.approx(4 + 4 * simsiam, rel=1e-5)
    scaled = loss_of(jnp.asarray(3 * p), jnp.asarray(0.1 * t))
    assert float(scaled) == pytest.approx(float(found), rel=1e-5)


def test_loss_of_equal_orthogonal_and_opposite_vectors():
    both = jnp.tile(jnp.array([1.0, 0.0, 0.0]), (4, 2, 1))
    orthogonal = jnp.roll(both, 1, axis=-1)
    for wanted, value in ((both, 0.0), (orthogonal, 4.0), (-both, 8.0)):
        assert float(loss_of(both, wanted)) == pytest.approx(value, abs=1e-6)


def test_no_gradient_reaches_the_target(key):
    method = build()
    batch = {"image": jnp.asarray(tiny.images(16).images)}
    graphdef, params, rest = nnx.split(method, nnx.Param, ...)
    keys = augment.sample_keys(key, 16)

    def loss(params):
        model = nnx.merge(graphdef, params, rest, copy=True)
        outputs = model.forward(batch, keys)
        execution = sharding.Execution()
        return model.loss(outputs, batch, step=jnp.int32(0), execution=execution)[0]

    gradient = nnx.to_pure_dict(jax.jit(jax.grad(loss))(params))
    for leaf in jax.tree.leaves(gradient["target"]):
        np.testing.assert_array_equal(leaf, 0.0)
    assert np.any(gradient["encoder"]["convolution"]["kernel"] != 0)


@pytest.mark.parametrize(("decay", "share"), [(1.0, 0.0), (0.0, 1.0), (0.75, 0.25)])
def test_target_moves_by_one_minus_the_decay(decay, share):
    method = build()
    kernel = lambda encoder: np.array(encoder.convolution.kernel[...])
    before = kernel(method.target.encoder)
    np.testing.assert_array_equal(before, kernel(method.encoder))
    method.encoder.convolution.kernel[...] += 1.0
    method.target.follow(method.encoder, method.head, decay=decay)
    np.testing.assert_allclose(kernel(method.target.encoder), before + share, atol=1e-6)


def test_target_keeps_its_own_running_statistics():
    method = build()
    method.encoder.norm.mean[...] += 5.0
    method.after_update({}, step=jnp.int32(0))
    np.testing.assert_array_equal(method.target.encoder.norm.mean[...], 0.0)


def test_decay_rises_to_one_along_half_a_cosine():
    decay = lambda step: float(methods.cosine_decay(0.9, step=step, num_steps=10))
    assert decay(0) == pytest.approx(0.9)
    assert decay(5) == pytest.approx(0.95)
    assert decay(10) == decay(20) == pytest.approx(1.0)


def test_loading_an_encoder_also_sets_the_target():
    method = build()
    method.encoder.convolution.kernel[...] += 1.0
    method.after_load(frozenset({"target/encoder/convolution/kernel"}))
    own, online = method.target.encoder, method.encoder
    assert np.any(own.convolution.kernel[...] != online.convolution.kernel[...])
    method.after_load(frozenset({"encoder/convolution/kernel"}))
    np.testing.assert_array_equal(
        own.convolution.kernel[...], online.convolution.kernel[...]
    )


def test_rejects_wrong_predictor_width_and_decay():
    predictor = nn.ProjectionHead(8, output_dim=5, rngs=nnx.Rngs(0))
    with pytest.raises(
        errors.UserError, match=r"predictor must be as wide as the head"
    ):
        build(predictor=predictor)
    with pytest.raises(errors.UserError, match=r"decay must be in \[0.0, 1.0\]"):
        build(decay=1.5)
