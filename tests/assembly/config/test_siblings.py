import importlib
import sys

import pytest

from simclr_jax.assembly.config import siblings


def run(folder, text):
    """Runs a file of the folder and returns its names."""
    path = folder / "main.py"
    path.write_text(text)
    names = {"__name__": "main_of_a_test"}
    exec(compile(text, str(path), "exec"), names)
    return names


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "my_experiments"
    folder.mkdir()
    (folder / "neighbor_of_a_config.py").write_text("VALUE = 7\n")
    (folder / "colorsys.py").write_text("raise SystemExit('not the standard one')\n")
    return folder


def test_files_of_a_folder_can_import_each_other(folder):
    with siblings.importable(folder):
        plain = run(folder, "import neighbor_of_a_config as n")
        by_folder = run(folder, "from my_experiments import neighbor_of_a_config as n")
    assert plain["n"].VALUE == by_folder["n"].VALUE == 7


def test_the_standard_library_takes_precedence(folder):
    sys.modules.pop("colorsys", None)
    with siblings.importable(folder):
        assert "rgb_to_hsv" in vars(run(folder, "import colorsys")["colorsys"])


def test_only_files_of_the_folder_find_siblings(folder):
    with siblings.importable(folder):
        run(folder, "import neighbor_of_a_config")
        sys.modules.pop("neighbor_of_a_config")
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("neighbor_of_a_config")


def test_no_trace_of_siblings_remains(folder):
    before = (list(sys.path), list(sys.meta_path), set(sys.modules))
    with siblings.importable(folder):
        run(folder, "import neighbor_of_a_config, my_experiments")
    assert (list(sys.path), list(sys.meta_path), set(sys.modules)) == before
