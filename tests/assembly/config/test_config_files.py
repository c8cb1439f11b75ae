import pathlib
import subprocess
import sys
import tomllib

import pytest

from simclr_jax import assembly
from simclr_jax.core import errors

ROOT = pathlib.Path(__file__).parents[3]

CONFIG = """
import ml_collections
{imports}

def get_config(variant="none"):
    return ml_collections.ConfigDict({{"variant": variant, "value": {value}}})
"""


def write(path, imports="", value="1"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(CONFIG.format(imports=imports, value=value), encoding="utf-8")
    return path


def test_finds_the_recipes_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert assembly.load_config("mnist").data.source == "tfds:mnist"
    assert assembly.load_config("cifar10:smoke").num_steps == 4
    assert assembly.load_config("imagenet_resnet50:v2").method.head.num_layers == 3


def test_lists_the_recipes():
    recipes = {recipe.name: recipe for recipe in assembly.config.list_recipes()}
    files = {path.stem for path in (ROOT / "configs").glob("*.py")}
    assert set(recipes) == files - {"__init__", "common"}
    assert recipes["mnist"].summary.startswith("SimCLR on MNIST")
    assert recipes["imagenet_resnet50"].variants == (
        "byol",
        "v1_paper",
        "v2",
        "small_batch",
        "smoke",
    )
    for recipe in recipes.values():
        for variant in recipe.variants:
            assert assembly.load_config(f"{recipe.name}:{variant}")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mnits", "Unknown recipe 'mnits'. Did you mean 'mnist'.*Choices: cifar10"),
        ("", "Unknown recipe ''. Choices: cifar10"),
        ("mnist:somke", "Unknown variant 'somke'. Did you mean 'smoke'"),
        ("mine", "A config file of your own is --config=mine.py"),
        ("nothing.py", "There is no config file '.*nothing.py'.*one of cifar10"),
        ("gs://bucket/mine.py", "is a URL"),
        ("empty.py", "has no function get_config"),
        ("wrong.py", "must return an ml_collections.ConfigDict; got int"),
        ("raises.py", r"raises.py, line 3: ZeroDivisionError: "),
        ("syntax.py", "SyntaxError"),
        ("missing.py", "missing.py, line 1: ModuleNotFoundError: No module named"),
        ("plain.py:x", "TypeError: get_config"),
    ],
)
def test_reports_a_failing_file_in_one_line(tmp_path, monkeypatch, spec, message):
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "mine": "",
        "empty": "",
        "wrong": "def get_config(): return 1",
        "raises": "\ndef get_config():\n    return 1 // 0",
        "syntax": "def get_config(:",
        "missing": "import no_such_module_anywhere",
        "plain": "def get_config(): return 1",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
    with pytest.raises(errors.UserError, match=message) as e:
        assembly.load_config(spec)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "form",
    [
        "mine.py",
        "./mine.py",
        "../a b é/mine.py",
        "~/mine.py",
        "{folder}/mine.py",
        "../link/mine.py",
        "../link.py",
    ],
)
def test_accepts_every_form_of_a_path(tmp_path, monkeypatch, form):
    folder = write(
        tmp_path / "a b é" / "mine.py", "from . import near", "near.x"
    ).parent
    (folder / "near.py").write_text("x = 3")
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "link.py").symlink_to(folder / "mine.py")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    config = assembly.load_config(form.format(folder=folder) + ":x:y.z")
    assert config.to_dict() == {"variant": "x:y.z", "value": 3}


@pytest.mark.parametrize(
    ("imports", "value"),
    [
        ("from . import near", "near.x"),
        ("from .near import x", "x"),
        ("import near", "near.x"),
        ("from experiments import near", "near.x"),
        ("from experiments.near import x", "x"),
        ("from simclr_jax.configs import common", "common.get_base() and 3"),
        ("from simclr_jax.configs.mnist import get_config as base", "base() and 3"),
        ("import os.path, numbers", "numbers.Number and 3"),
    ],
)
def test_imports_allowed_in_config_files(tmp_path, imports, value):
    path = write(tmp_path / "experiments" / "my.first-run.py", imports, value)
    (path.parent / "near.py").write_text("import far\nx = far.x")
    (path.parent / "far.py").write_text("x = 3")
    (path.parent / "numbers.py").write_text("raise SystemExit('shadowed')")
    assert assembly.load_config(str(path)).value == 3
    assert not {"near", "far", "experiments"} & set(sys.modules)


def test_does_not_mix_folders_with_equal_file_names(tmp_path):
    for number in (1, 2):
        path = write(tmp_path / str(number) / "mine.py", "import near", "near.x")
        (path.parent / "near.py").write_text(f"x = {number}")
    for number in (1, 2, 1):
        config = assembly.load_config(str(tmp_path / str(number) / "mine.py"))
        assert config.value == number


def test_reloads_an_edited_config_file(tmp_path):
    path = write(tmp_path / "mine.py", value="1")
    assert assembly.load_config(str(path)).value == 1
    write(path, value="12")
    assert assembly.load_config(str(path)).value == 12


def test_ignores_configs_and_shadowing_modules_of_another_project(tmp_path):
    """Neither in the current folder, nor installed, nor beside the config file."""
    installed, here = tmp_path / "installed", tmp_path / "here"
    for folder in (installed, here):
        (folder / "configs").mkdir(parents=True)
        for name in ("__init__", "common", "mnist"):
            (folder / "configs" / f"{name}.py").write_text("raise SystemExit('other')")
    for name in ("secrets", "numbers", "random"):
        (here / f"{name}.py").write_text("raise SystemExit('shadowed')")
    write(here / "mine.py", "from simclr_jax.configs import common")
    code = (
        "from simclr_jax import assembly;"
        "print(assembly.load_config('imagenet_tpu_pod').batch_size,"
        "assembly.load_config('mine.py').value,"
        f"assembly.load_config({str(ROOT / 'configs' / 'mnist.py')!r}).batch_size)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=here,
        env={"PYTHONPATH": f"{installed}:{ROOT}", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "8192 1 128\n", done.stderr


def test_loads_a_recipe_by_its_repository_path_elsewhere(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO", logger="simclr_jax")
    assert assembly.load_config("configs/mnist.py:smoke").num_steps == 4
    assert "using the recipe of the package" in caplog.text


def test_the_wheel_contains_the_recipes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["only-include"]) == {"simclr_jax", "configs"}
    assert wheel["sources"] == {"configs": "simclr_jax/configs"}
