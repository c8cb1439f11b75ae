import pytest
from flax import nnx
from methods import tiny

from simclr_jax import assembly, augment, methods
from simclr_jax.assembly.config import defaults


def make_method(recipe):
    encoder = tiny.TinyEncoder(num_channels=3, rngs=nnx.Rngs(0))
    return methods.SimCLR(
        encoder, augmentation=recipe, temperature=0.2, rngs=nnx.Rngs(0)
    )


def test_the_base_config_is_valid():
    assembly.config.check(assembly.base_config())


def test_configs_of_methods_differ_in_plain_attributes():
    config = defaults.config_of_method(make_method(augment.build("mnist", size=8)))
    assert config.method.name == "SimCLR" and config.method.temperature == 0.2
    assert config.encoder.name == "TinyEncoder"
    assert config.evaluation.size == 8
    assert "augmentation" not in config


def test_own_augmentations_have_the_same_description_in_every_process():
    made = []
    for _ in range(2):

        def recipe(key, image):
            return image[:4, :4]

        config = defaults.config_of_method(make_method(recipe))
        made.append(config.method.augmentation)
    assert made[0] == made[1] and "0x" not in made[0]


@pytest.mark.parametrize("name", sorted(defaults.OPTIMIZER))
def test_config_of_method_has_all_optimizer_fields(name):
    assert name in assembly.base_config().optimizer
