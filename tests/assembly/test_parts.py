import pytest
from flax import nnx
from PIL import Image

from configs import imagenet_resnet50, mnist
from simclr_jax import assembly
from simclr_jax.assembly import parts
from simclr_jax.core import errors


def smoke(**changes):
    config = mnist.get_config("smoke")
    config.update(changes)
    return config


def build(config):
    length = assembly.compute_length(config, num_images=100)
    return nnx.eval_shape(
        lambda: assembly.build_method(
            config, image_shape=(28, 28, 1), length=length, num_images=100
        )
    )


def test_remat_applies_to_the_blocks_of_the_encoder():
    config = smoke()
    config.execution.remat = "blocks"
    assert build(config).encoder.blocks[0].remat == "blocks"


def test_frozen_parameters_are_not_trainable():
    config = smoke()
    config.freeze = ("^encoder/",)
    method = build(config)
    trainable = nnx.to_pure_dict(nnx.state(method, method.trainable))
    assert set(trainable) == {"head"}


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        (("nothing",), r"'nothing', which matches no parameter. Paths are like"),
        ((".*",), r"leaves no parameter to train"),
    ],
)
def test_rejects_invalid_freeze_patterns(freeze, message):
    config = smoke()
    config.freeze = freeze
    with pytest.raises(errors.UserError, match=message):
        build(config)


def test_view_shape_follows_the_recipe():
    recipe = assembly.build_augmentation(smoke())
    assert parts.view_shape(recipe, (28, 28, 1)) == (24, 24, 1)


def test_the_default_padded_size_is_nine_sevenths_of_a_view():
    assert parts.default_canvas(smoke()) == 32  # 24 * 9 / 7 is 30.9
    assert parts.default_canvas(imagenet_resnet50.get_config()) == 288


def test_pads_images_of_many_sizes_as_configured(tmp_path):
    for number in range(3):
        Image.new("RGB", (60, 40)).save(tmp_path / f"{number}.png")
    config = smoke()
    config.data.source = f"folder:{tmp_path}"
    assert assembly.open_images(config).image_shape == (32, 32, 3)
    config.data.update({"canvas": 48, "num_channels": 1})
    assert assembly.open_images(config).image_shape == (48, 48, 1)
    with pytest.raises(errors.DataError, match=r"test"):
        assembly.open_images(config, split="test")


def test_opens_images_as_configured(tmp_path):
    pages = [Image.new("I;16", (6, 5), value) for value in (100, 140, 200)]
    pages[0].save(tmp_path / "0.tif", save_all=True, append_images=pages[1:])
    config = smoke()
    config.data.source = f"folder:{tmp_path}"
    config.data.update({"page": "all", "range": "100:200", "channels": (2, 1)})
    pixels = assembly.open_images(config).read([0])["images"]
    assert pixels[0, 0, 0].tolist() == [255, 102]
    config.data.page = "1"
    config.data.channels = None
    pixels = assembly.open_images(config).read([0])["images"]
    assert pixels[0, 0, 0].tolist() == [102] * 3
    config.data.label = "grade"
    with pytest.raises(errors.UserError, match=r"data.label='grade'"):
        assembly.open_images(config)
