import pytest

from configs import common, mnist
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
        ({"learning_rate": 0.0}, r"learning_rate must be a number > 0"),
        ({"log_every_steps": 0}, r"log_every_steps must be a whole number >= 1"),
        ({"compute_dtype": "float16"}, r"Unknown compute_dtype 'float16'"),
        (
            {"encoder": {"name": "convnte"}},
            r"encoder 'convnte'. Did you mean 'convnet'",
        ),
        ({"optimizer": {"name": "adma"}}, r"optimizer 'adma'. Did you mean 'adam'"),
        ({"augmentation": {"name": "mnits"}}, r"Did you mean 'mnist'"),
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


def test_view_shape_follows_the_recipe():
    recipe = assembly.build_augmentation(smoke())
    assert assembly.view_shape(recipe, (28, 28, 1)) == (24, 24, 1)


def test_a_run_of_another_config_is_refused_with_the_difference():
    run = assembly.assemble(smoke(num_devices=1))
    run.check_meta(run.meta())
    other = assembly.assemble(smoke(num_devices=1, temperature=0.7))
    with pytest.raises(errors.ConfigMismatchError) as caught:
        other.check_meta(run.meta())
    assert "temperature: 0.5 in the checkpoint, 0.7 now" in str(caught.value)
    assert "another workdir" in str(caught.value)


def test_other_data_is_another_run():
    run = assembly.assemble(smoke(num_devices=1))
    meta = run.meta()
    meta["data"]["num_images"] = 17
    with pytest.raises(errors.ConfigMismatchError, match=r"data.num_images: 17 in the"):
        run.check_meta(meta)


def test_options_of_the_learning_rate():
    config = common.get_base()
    config.update({"batch_size": 4096, "learning_rate": 0.3})
    length = assembly.compute_length(config, num_images=1_281_167)
    assert length.steps_per_epoch == 312
    schedule, peak = assembly.build_schedule(config, length)
    assert peak == pytest.approx(4.8)
    assert float(schedule(length.warmup_steps)) == pytest.approx(4.8)


def test_a_checkpoint_that_is_not_there(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(errors.CheckpointError, match=r"No checkpoint in .* none"):
        assembly.restore_encoder(tmp_path)
    with pytest.raises(errors.CheckpointError, match=r"is not a folder"):
        assembly.restore_encoder(tmp_path / "nowhere")
