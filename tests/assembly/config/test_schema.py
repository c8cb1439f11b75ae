import pytest

from configs import mnist
from simclr_jax import assembly
from simclr_jax.core import errors


def smoke(**changes):
    config = mnist.get_config("smoke")
    config.unlock()
    config.update(changes)
    return config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_steps": None, "epochs": 0}, r"epochs must be a number > 0; got 0"),
        ({"num_steps": 0}, r"num_steps must be a whole number >= 1; got 0"),
        ({"batch_size": 0}, r"batch_size must be a whole number >= 1; got 0"),
        ({"batch_size": 1}, r"batch_size must be at least 2"),
        ({"seed": -1}, r"seed must be a whole number from 0 to 4294967295; got -1"),
        ({"seed": 2**63}, r"seed must be a whole number from 0 to 4294967295"),
        ({"execution": {"accumulate": 0}}, r"accumulate must be a whole number >= 1"),
        ({"execution": {"remat": "block"}}, r"remat 'block'. Did you mean 'blocks'"),
        (
            {"execution": {"loss_algorithm": "rign"}},
            r"execution.loss_algorithm 'rign'. Did you mean 'ring'",
        ),
        (
            {
                "execution": {"steps_per_call": 3},
                "log_every_steps": 6,
                "checkpoint_every_steps": 10,
            },
            r"checkpoint_every_steps must be a multiple of 3; got 10",
        ),
        ({"optimizer": {"learning_rate": 0.0}}, r"learning_rate must be a number > 0"),
        ({"log_every_steps": 0}, r"log_every_steps must be a whole number >= 1"),
        ({"compute_dtype": "float16"}, r"Unknown compute_dtype 'float16'"),
        (
            {"encoder": {"name": "convnte"}},
            r"encoder 'convnte'. Did you mean 'convnet'",
        ),
        ({"method": {"name": "simlcr"}}, r"method 'simlcr'. Did you mean 'simclr'"),
        ({"method": {"tau": 1.0}}, r"Unknown option of method 'simclr': 'tau'"),
        ({"optimizer": {"name": "adma"}}, r"optimizer 'adma'. Did you mean 'adam'"),
        ({"augmentation": {"name": "mnits"}}, r"Did you mean 'mnist'"),
        ({"data": {"num_workers": -1}}, r"data.num_workers must be in \[0.0, inf\]"),
        ({"modules": ("missing.py",)}, r"'missing.py', which is missing"),
    ],
)
def test_rejects_invalid_values(changes, message):
    with pytest.raises(errors.UserError, match=message):
        assembly.config.check(smoke(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0.1}, r"config.temperature is now config.method.temperature"),
        ({"head": {}}, r"config.head is now config.method.head"),
        ({"learning_rate": 0.1}, r"is now config.optimizer.learning_rate"),
        ({"num_devices": 1}, r"is now config.execution.num_devices"),
        ({"loss": {"schedule": "ring"}}, r"is now config.execution.loss_algorithm"),
        ({"optimizer": {"decay_all": True}}, r"is now config.optimizer.rules"),
    ],
)
def test_names_the_replacement_of_fields_of_earlier_versions(changes, message):
    with pytest.raises(errors.UserError, match=message):
        assembly.config.check(smoke(**changes))


def test_imports_a_module_once_and_reports_its_errors(tmp_path):
    good = tmp_path / "good.py"
    good.write_text(
        "import builtins\nbuiltins.counted = 1 + getattr(builtins, 'counted', 0)"
    )
    for _ in range(2):
        assembly.config.import_modules([str(good)])
    import builtins

    assert builtins.counted == 1
    bad = tmp_path / "bad.py"
    bad.write_text("1 / 0")
    with pytest.raises(errors.UserError, match=r"bad.py' of config.modules cannot be"):
        assembly.config.import_modules([str(bad)])
