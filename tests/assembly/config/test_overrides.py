import pytest

from simclr_jax import assembly
from simclr_jax.core import errors

RECIPES = ("cifar10", "imagenet_resnet50", "imagenet_tpu_pod", "mnist")


def changed(recipe, **overrides):
    config = assembly.load_config(recipe)
    config.lock()
    pairs = [(name.replace("__", "."), value) for name, value in overrides.items()]
    return config, assembly.config.apply_overrides(config, pairs)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("method", ["simclr", "supcon", "byol", "moco"])
@pytest.mark.parametrize("encoder", ["convnet", "resnet18"])
def test_names_can_be_overridden_in_any_recipe(recipe, method, encoder):
    overrides = {"method__name": method, "encoder__name": encoder}
    config, _ = changed(recipe, **overrides)
    assert (config.method.name, config.encoder.name) == (method, encoder)
    assembly.config.check(config)


def test_drops_options_of_the_old_name_with_a_note():
    config, notes = changed("cifar10", encoder__name="convnet", method__name="byol")
    assert config.encoder.to_dict() == {"name": "convnet"}
    assert config.method.to_dict() == {"name": "byol"}
    assert notes == [
        "config.encoder is convnet without stem of resnet18.",
        "config.method is byol without head, temperature of simclr.",
    ]


def test_keeps_options_that_the_new_name_accepts_except_for_methods():
    config, notes = changed(
        "cifar10", encoder__name="resnet50", optimizer__name="adamw"
    )
    assert config.encoder.stem == "small_image"
    assert config.optimizer.weight_decay == 5e-4
    assert config.optimizer.learning_rate == 0.03
    assert notes == [
        "config.encoder is resnet50.",
        "config.optimizer is adamw without momentum, nesterov of sgd.",
    ]


def test_overriding_with_the_same_name_keeps_the_options():
    config, notes = changed("cifar10", encoder__name="resnet18")
    assert config.encoder.stem == "small_image" and notes == []


def test_accepts_and_checks_options_missing_from_the_recipe():
    config, _ = changed("mnist", encoder__name="resnet18", encoder__width="2")
    assert config.encoder.to_dict() == {"name": "resnet18", "width": 2}
    assembly.config.check(config)
    config, _ = changed("mnist", encoder__width="2")
    with pytest.raises(errors.UserError, match=r"option of encoder 'convnet': 'width'"):
        assembly.config.check(config)


def test_values_have_the_type_of_the_field():
    config, _ = changed(
        "mnist",
        batch_size="64",
        epochs="3",
        seed="7",
        tensorboard="true",
        data__source="folder:1",
        data__canvas="32",
        optimizer__learning_rate="1",
        freeze="^encoder/,^head/",
        init_from__only="('^encoder/',)",
        execution__num_devices="None",
        num_steps="5",
        hooks__knn__every_steps="10",
        method__head__output_dim="32",
    )
    assert (config.batch_size, config.seed, config.tensorboard) == (64, 7, True)
    assert config.data.source == "folder:1" and config.data.canvas == 32
    assert config.optimizer.learning_rate == 1.0
    assert config.freeze == ("^encoder/", "^head/")
    assert config.init_from.only == ("^encoder/",)
    assert config.execution.num_devices is None and config.num_steps == 5
    assert config.hooks.knn.to_dict() == {"every_steps": 10}
    assert config.method.head.output_dim == 32


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"batchsize": "1"}, r"'batchsize'. Did you mean 'batch_size'"),
        ({"temperature": "1"}, r"config.temperature is now config.method.temperature"),
        ({"head__num_layers": "3"}, r"config.head is now config.method.head"),
        ({"accumulate": "2"}, r"config.accumulate is now config.execution.accumulate"),
        (
            {"batch_size": "many"},
            r"--config.batch_size must be of type int; got 'many'",
        ),
        ({"batch_size": "1.5"}, r"--config.batch_size must be of type int; got '1.5'"),
        ({"batch_size": "True"}, r"--config.batch_size must be of type int"),
        ({"tensorboard": "maybe"}, r"--config.tensorboard must be of type bool"),
        ({"seed__x": "1"}, r"Unknown field of the config: 'seed.x'"),
        ({"method__name": "boyl"}, r"Unknown method 'boyl'. Did you mean 'byol'"),
        ({"data__sorce": "x"}, r"'data.sorce'. Did you mean 'data.source'"),
    ],
)
def test_rejects_invalid_overrides(overrides, message):
    with pytest.raises(errors.UserError, match=message):
        changed("mnist", **overrides)
