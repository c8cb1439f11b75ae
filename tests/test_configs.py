"""Every recipe is valid, documented, and runs two steps of its smoke variant."""

import importlib
import pathlib

import numpy as np
import pytest

from simclr_jax import assembly, training
from simclr_jax.core import errors

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"
RECIPES = sorted(
    p.stem for p in CONFIGS.glob("*.py") if p.stem not in ("__init__", "common")
)


def load(recipe, variant=""):
    return importlib.import_module(f"configs.{recipe}").get_config(variant)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_header_has_command_hardware_and_expected_number(recipe):
    header = importlib.import_module(f"configs.{recipe}").__doc__
    assert "Command: python -m simclr_jax pretrain --config=configs/" in header
    assert "Hardware:" in header
    assert "Expected" in header
    assert "published" in header or "measured with this library" in header


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_full_recipe_is_valid(recipe):
    config = load(recipe)
    assembly.config.check(config)
    assert config.is_type_safe


@pytest.mark.parametrize("recipe", RECIPES)
def test_error_for_an_unknown_variant_lists_the_choices(recipe):
    message = r"Unknown variant 'somke'. Did you mean 'smoke'\? Choices: .*smoke"
    with pytest.raises(errors.UserError, match=message):
        load(recipe, "somke")


# Its smoke variant is that of imagenet_resnet50 with another learning rate.
SLOW = {"imagenet_tpu_pod": pytest.mark.slow}


@pytest.mark.parametrize(
    "recipe", [pytest.param(name, marks=SLOW.get(name, ())) for name in RECIPES]
)
@pytest.mark.documents
@pytest.mark.usefixtures("standard_promotion")
def test_runs_two_smoke_steps(recipe):
    config = load(recipe, "smoke")
    config.num_steps = 2
    config.execution.num_devices = 1
    assembly.config.check(config)
    run = assembly.assemble(config)
    state = run.initial_state()
    key = training.place(assembly.root_key(config), run.mesh)
    arrays, losses = state.arrays, []
    for batch in run.batches.start_at(0):
        arrays, metrics = training.train_step(
            state.graphdef, run.execution, arrays, batch, key
        )
        losses.append(float(metrics["loss"]))
    assert len(losses) == 2
    assert np.isfinite(losses).all()
