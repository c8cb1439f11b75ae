import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simclr_jax import encoders
from simclr_jax.core import errors
from simclr_jax.encoders import resnet

LARGE, SMALL = (224, 224, 3), (32, 32, 3)

# Trainable parameters, and running statistics where the reference gives them.
COUNTS = [
    (18, LARGE, 1, 11_180_736, None),
    (34, LARGE, 1, 21_288_896, None),
    (50, LARGE, 1, 23_508_032, 53_120),
    (50, LARGE, 2, 93_907_072, 106_240),
    (50, LARGE, 4, 375_378_176, 212_480),
    (101, LARGE, 1, 42_500_160, 105_344),
    (101, LARGE, 2, 169_771_136, 210_688),
    (152, LARGE, 1, 58_143_808, 151_424),
    (152, LARGE, 2, 232_253_568, 302_848),
    (200, LARGE, 1, 62_624_832, None),
    (18, SMALL, 1, 11_173_056, None),
    (34, SMALL, 1, 21_281_216, None),
    (50, SMALL, 1, 23_500_352, None),
]


def count(module, kind):
    leaves = jax.tree.leaves(nnx.state(module, kind))
    return sum(math.prod(leaf.shape) for leaf in leaves)


@pytest.mark.parametrize(("depth", "shape", "width", "params", "statistics"), COUNTS)
def test_parameter_counts_equal_published_counts(
    depth, shape, width, params, statistics
):
    module = nnx.eval_shape(
        lambda: encoders.ResNet(depth, image_shape=shape, width=width, rngs=nnx.Rngs(0))
    )
    assert count(module, nnx.Param) == params
    if statistics is not None:
        assert count(module, nnx.BatchStat) == statistics


@pytest.mark.parametrize(
    ("depth", "shape", "sides", "dim"),
    [
        (18, (64, 64, 3), (64, 64, 32, 16, 8), 512),
        (50, LARGE, (56, 56, 28, 14, 7), 2048),
    ],
)
def test_shapes_of_the_stages(depth, shape, sides, dim):
    module = nnx.eval_shape(
        lambda: encoders.ResNet(depth, image_shape=shape, rngs=nnx.Rngs(0))
    )
    assert module.feature_dim == dim
    graphdef, state = nnx.split(module)
    images = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    stages = jax.eval_shape(
        lambda s, x: nnx.merge(graphdef, s).endpoints(x), state, images
    )
    assert stages.pop("features").shape == (2, dim)
    names = ["stem", "group1", "group2", "group3", "group4"]
    assert sorted(stages) == sorted(names)
    assert [stages[name].shape[1] for name in names] == list(sides)


def test_the_last_scale_of_each_block_starts_at_zero():
    module = encoders.ResNet(18, image_shape=(8, 8, 3), rngs=nnx.Rngs(0))
    for group in module.groups:
        for block in group:
            assert not np.any(block.last_norm.scale[...])


def test_initialization_is_lecun_truncated_normal():
    module = encoders.ResNet(18, image_shape=(8, 8, 3), rngs=nnx.Rngs(0))
    kernel = module.groups[3][1].last_conv.kernel[...]
    assert kernel.shape == (3, 3, 512, 512)
    expected = math.sqrt(1 / (9 * 512))
    np.testing.assert_allclose(np.std(kernel), expected, rtol=0.01)


@pytest.mark.usefixtures("standard_promotion")
def test_bfloat16_compute_with_float32_parameters_and_statistics():
    def run(images):
        options = {"image_shape": (16, 16, 3), "dtype": jnp.bfloat16}
        module = encoders.ResNet(18, **options, rngs=nnx.Rngs(0))
        features = module(images)
        return features, nnx.state(module, (nnx.Param, nnx.BatchStat))

    images = jax.ShapeDtypeStruct((2, 16, 16, 3), jnp.float32)
    features, state = jax.eval_shape(run, images)
    assert features.dtype == jnp.bfloat16
    leaves = jax.tree.leaves(state)
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize(
    ("stem", "side", "expected"),
    [
        ("auto", 32, "small_image"),
        ("auto", 64, "small_image"),
        ("auto", 65, "imagenet"),
    ],
)
def test_auto_stem_depends_on_the_image_size(stem, side, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resnet.choose_stem(stem, (side, side, 3)) == expected


def test_warns_if_the_stem_does_not_suit_the_image_size():
    with pytest.warns(UserWarning, match=r"shrinks 32-pixel views to 1x1"):
        resnet.choose_stem("imagenet", SMALL)
    with pytest.warns(UserWarning, match=r"16 times"):
        resnet.choose_stem("small_image", LARGE)


def test_errors():
    rngs = nnx.Rngs(0)
    with pytest.raises(
        errors.UserError, match=r"Unknown ResNet depth '51'. Choices:.* 50"
    ):
        encoders.ResNet(51, image_shape=SMALL, rngs=rngs)
    with pytest.raises(errors.UserError, match=r"Unknown stem 'cifar'"):
        encoders.ResNet(18, image_shape=SMALL, stem="cifar", rngs=rngs)
    with pytest.raises(errors.UserError, match=r"image_shape .* or num_channels; got"):
        encoders.ResNet(18, rngs=rngs)
    with pytest.raises(errors.UserError, match=r"stem='auto' depends on the size of"):
        encoders.ResNet(18, num_channels=3, rngs=rngs)
    with pytest.raises(errors.UserError, match=r"has 3 channels and num_channels is 1"):
        encoders.ResNet(18, image_shape=SMALL, num_channels=1, rngs=rngs)


def features_of(images, **options):
    def run(images):
        return encoders.ResNet(18, rngs=nnx.Rngs(0), **options)(images)

    return jax.eval_shape(run, jax.ShapeDtypeStruct(images, jnp.float32))


@pytest.mark.parametrize("size", [(96, 96), (1, 1), (33, 57), (320, 224)])
def test_accepts_images_of_any_size(size):
    assert features_of((2, *size, 3), image_shape=LARGE).shape == (2, 512)
    options = {"num_channels": 3, "stem": "small_image"}
    assert features_of((2, *size, 3), **options).shape == (2, 512)


def test_rejects_images_with_other_channels():
    with pytest.raises(errors.UserError, match=r"of 3 channels; got .* for 1 channels"):
        features_of((2, 32, 32, 1), image_shape=SMALL)
