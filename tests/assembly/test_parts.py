import pytest
from flax import nnx
from PIL import Image

from configs import common, imagenet_resnet50, mnist
from simclr_jax import assembly
from simclr_jax.core import errors


def smoke(**changes):
    config = mnist.get_config("smoke")
    config.update(changes)
    return config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_steps": None, "epochs": 0}, r"epochs must be a number > 0; got 0"),
        ({"num_steps": 0}, r"num_steps must be a whole number >= 1; got 0"),
        ({"temperature": 0.0}, r"temperature must be a number > 0; got 0.0"),
        ({"temperature": -1.0}, r"temperature must be a number > 0; got -1.0"),
        ({"batch_size": 0}, r"batch_size must be a whole number >= 1; got 0"),
        ({"batch_size": 1}, r"batch_size must be at least 2"),
        ({"accumulate": 0}, r"accumulate must be a whole number >= 1; got 0"),
        ({"remat": "block"}, r"Unknown remat 'block'. Did you mean 'blocks'"),
        ({"loss": {"schedule": "rign"}}, r"loss.schedule 'rign'. Did you mean 'ring'"),
        (
            {"steps_per_call": 3, "log_every_steps": 6, "checkpoint_every_steps": 10},
            r"checkpoint_every_steps must be a multiple of 3; got 10",
        ),
        ({"learning_rate": 0.0}, r"learning_rate must be a number > 0"),
        ({"log_every_steps": 0}, r"log_every_steps must be a whole number >= 1"),
        ({"compute_dtype": "float16"}, r"Unknown compute_dtype 'float16'"),
        (
            {"encoder": {"name": "convnte"}},
            r"encoder 'convnte'. Did you mean 'convnet'",
        ),
        ({"optimizer": {"name": "adma"}}, r"optimizer 'adma'. Did you mean 'adam'"),
        ({"augmentation": {"name": "mnits"}}, r"Did you mean 'mnist'"),
        ({"data": {"num_workers": -1}}, r"data.num_workers must be in \[0.0, inf\]"),
    ],
)
def test_bad_values_are_named(changes, message):
    with pytest.raises(errors.UserError, match=message):
        assembly.check(smoke(**changes))


def test_steps_win_over_epochs():
    config = smoke(num_steps=7, epochs=3, batch_size=10)
    assert assembly.compute_length(config, num_images=105).num_steps == 7
    config = smoke(num_steps=None, epochs=3, batch_size=10)
    length = assembly.compute_length(config, num_images=105)
    assert (length.num_steps, length.steps_per_epoch) == (30, 10)


def test_a_warmup_takes_half_of_a_short_run_at_most():
    config = smoke(num_steps=10, warmup_epochs=5.0, batch_size=10)
    assert assembly.compute_length(config, num_images=100).warmup_steps == 5


def test_the_fields_for_batches_larger_than_memory_reach_the_method():
    config = smoke(accumulate=4, remat="blocks")
    method = nnx.eval_shape(
        lambda: assembly.build_method(config, image_shape=(28, 28, 1))
    )
    assert (method.accumulate, method.encoder.blocks[0].remat) == (4, "blocks")


def test_view_shape_follows_the_recipe():
    recipe = assembly.build_augmentation(smoke())
    assert assembly.view_shape(recipe, (28, 28, 1)) == (24, 24, 1)


def test_the_default_canvas_is_nine_sevenths_of_a_view():
    assert assembly.default_canvas(smoke()) == 32  # 24 * 9 / 7 is 30.9
    assert assembly.default_canvas(imagenet_resnet50.get_config()) == 288


def test_images_of_many_sizes_get_the_canvas_of_the_config(tmp_path):
    for number in range(3):
        Image.new("RGB", (60, 40)).save(tmp_path / f"{number}.png")
    config = smoke()
    config.data.source = f"folder:{tmp_path}"
    assert assembly.open_images(config).image_shape == (32, 32, 3)
    config.data.update({"canvas": 48, "num_channels": 1})
    assert assembly.open_images(config).image_shape == (48, 48, 1)
    with pytest.raises(errors.DataError, match=r"test"):
        assembly.open_images(config, split="test")


def test_options_of_the_learning_rate():
    config = common.get_base()
    config.update({"batch_size": 4096, "learning_rate": 0.3})
    length = assembly.compute_length(config, num_images=1_281_167)
    assert length.steps_per_epoch == 312
    schedule, peak = assembly.build_schedule(config, length)
    assert peak == pytest.approx(4.8)
    assert float(schedule(length.warmup_steps)) == pytest.approx(4.8)
