"""Tests of the architecture: which package may import which."""

import ast
import pathlib

import pytest
import used_modules

from simclr_jax.losses import similarity

PACKAGE = pathlib.Path(__file__).parents[1] / "simclr_jax"

LEVEL = {
    "core": 0,
    "nn": 1,
    "augment": 2,
    "encoders": 2,
    "losses": 2,
    "optim": 2,
    "data": 2,
    "methods": 3,
    "training": 4,
    "aot": 5,
    "evaluation": 5,
    "plots": 5,
    "assembly": 6,
    "programs": 7,
    "__main__": 8,
}

# What only these packages may import at the top of a file.
RESERVED = {"ml_collections": {"assembly", "programs"}}

# What nobody may import at the top of a file: heavy or optional.
LAZY = {
    "PIL",
    "array_record",
    "datasets",
    "matplotlib",
    "mlxtend",
    "simplejpeg",
    "sklearn",
    "tensorboardX",
    "tensorflow",
    "tensorflow_datasets",
    "torch",
    "tqdm",
}

# What the worker processes of the input pipeline import must not import jax.
WORKER_FILES = sorted(
    path for path in (PACKAGE / "data").rglob("*.py") if path.stem != "batches"
)

TESTED_ELSEWHERE = {
    "augment/resizing/taps.py": "augment/resizing/test_resample.py",
    "core/errors.py": "programs/test_cli.py",
    "core/types.py": "augment/test_padded.py",
    "evaluation/hooks.py": "evaluation/test_evaluation_hooks.py",
    "losses/similarity/algorithms/local.py": "losses/similarity/test_algorithms.py",
    "losses/similarity/algorithms/choice.py": "losses/similarity/test_algorithms.py",
    "losses/similarity/algorithms/mutual.py": "losses/similarity/test_engine.py",
    "losses/similarity/one_sided.py": "losses/similarity/test_engine.py",
    "losses/similarity/algorithms/one_tile.py": "losses/similarity/test_engine.py",
    "losses/similarity/plans.py": "losses/similarity/test_algorithms.py",
    "losses/similarity/statistics.py": "losses/similarity/test_engine.py",
    "losses/similarity/tiles.py": "losses/similarity/test_engine.py",
    "losses/similarity/two_sided.py": "losses/similarity/test_engine.py",
    "evaluation/labels.py": "evaluation/test_labeled_features.py",
    "methods/base.py": "methods/test_protocol.py",
    "methods/target.py": "methods/test_byol.py",
    "methods/view_pair.py": "methods/test_simclr.py",
    "plots/figures.py": "plots/test_plots.py",
    "plots/curves.py": "plots/test_plots.py",
    "plots/maps.py": "plots/test_plots.py",
    "plots/sheets.py": "plots/test_plots.py",
    "plots/views.py": "plots/test_plots.py",
    "programs/configs.py": "programs/test_configs_program.py",
    "programs/views.py": "programs/test_views_program.py",
    "training/session.py": "programs/test_pretrain.py",
}

# Modules that their tests reach only through another name of the library, or a program.
REACHED_THROUGH = {
    "data/sources/hugging_face_cache.py": "data.open_source",
    "data/sources/tar_shards.py": "data.open_source",
    "losses/diagnostics.py": "losses.ntxent_with_metrics",
    "losses/similarity/algorithms/mutual.py": "losses.similarity.compare_both",
    "losses/similarity/algorithms/one_tile.py": "losses.similarity.compare_both",
    "losses/similarity/one_sided.py": "losses.similarity.compare",
    "losses/similarity/two_sided.py": "losses.similarity.compare_both",
    "methods/view_pair.py": "methods.SimCLR",
    "plots/figures.py": "plots.save_loss_curve",
    "training/session.py": "pretrain",
    "training/state.py": "training",
}

# Packages of which each module is one member of a family: any number of modules.
FAMILIES = {"data/sources", "losses", "methods"}

FILES = sorted(PACKAGE.rglob("*.py"))


def package_of(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path, *, top_only=False):
    """Yields the dotted names that a file imports."""
    tree = ast.parse(path.read_text())
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_arrows_point_down(path):
    package = package_of(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "simclr_jax" or len(parts) < 2 or package == "__init__":
            continue
        if parts[1] in ("__version__", package):
            continue
        assert parts[1] in LEVEL, f"{path} imports {name}, which is in no level"
        assert LEVEL[parts[1]] < LEVEL[package], f"{path} must not import {name}"


def test_training_does_not_know_evaluation_or_any_method():
    for path in (PACKAGE / "training").rglob("*.py"):
        for name in imports(path):
            assert not name.startswith(("simclr_jax.evaluation", "simclr_jax.methods"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_reserved_and_lazy_imports(path):
    for name in imports(path, top_only=True):
        package = name.split(".")[0]
        assert package not in LAZY, f"{path}: import {package} inside a function"
        allowed = RESERVED.get(package)
        assert allowed is None or package_of(path) in allowed, (
            f"{path} imports {package}"
        )


@pytest.mark.parametrize(
    "path", WORKER_FILES, ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_input_workers_need_no_jax(path):
    for imported in imports(path):
        assert imported.split(".")[0] not in ("jax", "flax", "jaxlib")
        assert path.name == "__init__.py" or imported != "simclr_jax.data.batches"


def test_losses_are_functions_of_arrays():
    for path in (PACKAGE / "losses").rglob("*.py"):
        assert not any(name.split(".")[0] == "flax" for name in imports(path))


def test_the_modules_of_the_similarity_engine_are_its_internals():
    engine = PACKAGE / "losses" / "similarity"
    for path in FILES:
        if engine not in path.parents:
            for name in imports(path):
                assert not name.startswith("simclr_jax.losses.similarity.") or (
                    path.parent == PACKAGE / "losses"
                    and name.split(".")[-1] in similarity.__all__
                ), f"{path} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_are_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400, f"{path} has over 400 lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= 40, f"{path}: {node.name} has {length} lines of body"


def test_programs_are_short():
    for path in (PACKAGE / "programs").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 130, path


def test_no_utils_and_no_empty_packages():
    assert not list(PACKAGE.rglob("utils*.py"))
    for package in {path.parent for path in FILES}:
        assert len(list(package.glob("*.py"))) > 1, f"{package} is empty"


def test_packages_are_small():
    for package in {path.parent for path in FILES}:
        name = str(package.relative_to(PACKAGE))
        if name not in FAMILIES:
            modules = [path.stem for path in package.glob("[!_]*.py")]
            assert len(modules) <= 10, f"{name} has {len(modules)} modules"


def test_every_module_is_used_by_its_tests():
    tests = PACKAGE.parent / "tests"
    unused, stale = [], {*TESTED_ELSEWHERE, *REACHED_THROUGH}
    for path in FILES:
        if path.name in ("__init__.py", "__main__.py"):
            continue
        name = str(path.relative_to(PACKAGE))
        beside = str(pathlib.Path(name).with_name(f"test_{path.name}"))
        if not (tests / beside).exists():
            stale.discard(name)
        expected = tests / TESTED_ELSEWHERE.get(name, beside)
        assert expected.exists(), f"{expected} is missing"
        module = used_modules.dotted(path)
        # An algorithm or a program is named by the string that users give for it.
        if module in used_modules.modules_of(expected) or (
            path.stem in used_modules.strings_of(expected)
        ):
            continue
        through = REACHED_THROUGH.get(name)
        if f"simclr_jax.{through}" not in used_modules.modules_of(
            expected
        ) and through not in used_modules.strings_of(expected):
            unused.append(f"{name} by {expected.relative_to(tests)}")
        elif beside == str(expected.relative_to(tests)):
            stale.discard(name)
    assert not unused, f"neither imported nor named: {unused}"
    assert not stale, f"not needed in the tables: {sorted(stale)}"
