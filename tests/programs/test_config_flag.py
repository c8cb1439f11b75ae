import pytest

from simclr_jax.core import errors
from simclr_jax.programs import config_flag


def test_separates_overrides_from_the_arguments():
    arguments = [
        "simclr pretrain",
        "--config=mnist",
        "--config.batch_size=64",
        "--workdir=runs/x",
        "--config.method.name",
        "byol",
        "-config.data.source=folder:a=b",
    ]
    others, overrides = config_flag.take_overrides(arguments)
    assert others == ["simclr pretrain", "--config=mnist", "--workdir=runs/x"]
    assert overrides == [
        ("batch_size", "64"),
        ("method.name", "byol"),
        ("data.source", "folder:a=b"),
    ]


def test_accepts_an_empty_value():
    assert config_flag.take_overrides(["x", "--config.freeze="])[1] == [("freeze", "")]


def test_rejects_an_override_without_a_value():
    with pytest.raises(errors.UserError, match=r"--config.seed needs a value: --conf"):
        config_flag.take_overrides(["x", "--config.seed"])


def test_rejects_overrides_without_a_config(monkeypatch):
    monkeypatch.setattr(config_flag.flags, "FLAGS", {})
    with pytest.raises(errors.UserError, match=r"--config.seed changes a config; also"):
        config_flag.apply([("seed", "1")])
