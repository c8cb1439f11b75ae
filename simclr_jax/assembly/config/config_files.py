"""Finding and loading config files, and the recipes that come with the package.

A config file is loaded as a module of a package that consists of its folder. The folder
is never added to ``sys.path``, so no library imports a ``secrets.py`` beside a config.
A config file can import

* a file in the same folder: ``from . import sibling``;
* the same file by ``import sibling`` or, in a folder ``experiments``, by
  ``from experiments import sibling``, unless the standard library or an installed
  package has that name;
* a recipe of this package: ``from simclr_jax.configs import common``.
"""

import dataclasses
import hashlib
import importlib.machinery
import importlib.util
import logging
import os
import pathlib
import re
import sys
import traceback
import types
from typing import final

import ml_collections

import simclr_jax
from simclr_jax.assembly.config import siblings
from simclr_jax.core import errors, paths, registry

PACKAGE = "simclr_jax.configs"
"""Package name of the recipes, even if their folder is beside ``simclr_jax``."""

_FILE = re.compile(r"(?P<path>.*?\.py)(?::(?P<variant>.*))?", re.DOTALL)
_NOT_RECIPES = ("__init__", "common")

_log = logging.getLogger("simclr_jax")


@final
@dataclasses.dataclass(frozen=True)
class Recipe:
    """A config file that comes with the package.

    Attributes:
      name: name for ``--config=NAME``.
      summary: first line of its docstring.
      variants: choices for ``--config=NAME:VARIANT``.
    """

    name: str
    summary: str
    variants: tuple[str, ...]


def list_recipes() -> tuple[Recipe, ...]:
    """Lists the recipes that come with the package, sorted by name.

    Returns:
      The recipes.

    Example:
      >>> from simclr_jax.assembly import config
      >>> [recipe.name for recipe in config.list_recipes()]
      ['cifar10', 'imagenet_resnet50', 'imagenet_tpu_pod', 'mnist']
    """
    recipes = []
    for name, path in _recipe_files().items():
        module = _load(path)
        summary = (module.__doc__ or "").partition("\n")[0]
        recipes.append(Recipe(name, summary, tuple(getattr(module, "VARIANTS", ()))))
    return tuple(recipes)


def load_config(spec: str) -> ml_collections.ConfigDict:
    """Loads a config by the name of a recipe or the path of a file.

    Args:
      spec: ``NAME``, ``NAME:VARIANT``, ``FILE.py`` or ``FILE.py:VARIANT``. NAME is a
        recipe of this package; FILE.py defines a function ``get_config()`` or
        ``get_config(variant)``.

    Returns:
      The result of ``get_config``.

    Raises:
      UserError: if there is no such recipe, file or variant, or if the file raises.

    Example:
      >>> from simclr_jax import assembly
      >>> assembly.load_config("mnist:byol").method.name
      'byol'
    """
    match = _FILE.fullmatch(spec)
    if match is not None:
        path, variant = _find_file(match["path"]), match["variant"]
    else:
        name, colon, rest = spec.partition(":")
        path, variant = _find_recipe(name), rest if colon else None
    arguments = [] if variant is None else [variant]
    with siblings.importable(path.parent):
        try:
            module = _load(path)
            if not callable(getattr(module, "get_config", None)):
                raise errors.UserError(
                    f"The config file {str(path)!r} has no function get_config."
                )
            config = module.get_config(*arguments)
        except errors.UserError:
            raise
        except Exception as error:
            raise errors.UserError(_describe_failure(path, error)) from error
    if not isinstance(config, ml_collections.ConfigDict):
        raise errors.UserError(
            f"get_config of {str(path)!r} must return an ml_collections.ConfigDict; "
            f"got {type(config).__name__}."
        )
    return config


def _recipes_folder() -> pathlib.Path:
    """Returns the folder of the recipes: in the package, or beside it in a checkout."""
    package = pathlib.Path(simclr_jax.__file__).resolve().parent
    inside, beside = package / "configs", package.parent / "configs"
    is_checkout = (package.parent / "pyproject.toml").is_file()
    return beside if is_checkout and not inside.is_dir() else inside


def _recipe_files() -> dict[str, pathlib.Path]:
    files = sorted(_recipes_folder().glob("*.py"))
    return {path.stem: path for path in files if path.stem not in _NOT_RECIPES}


def _find_recipe(name: str) -> pathlib.Path:
    recipes = _recipe_files()
    if name in recipes:
        return recipes[name]
    own = f"{name}.py" if name and pathlib.Path(f"{name}.py").is_file() else "FILE.py"
    raise errors.UserError(
        f"{registry.unknown_name('recipe', name, recipes)} A config file of your own "
        f"is --config={own}."
    )


def _find_file(text: str) -> pathlib.Path:
    """Returns the config file at a path, symbolic links resolved."""
    path = paths.local_path(text, what="config")
    if os.path.isfile(path):
        return path.resolve()
    recipes = _recipe_files()
    if pathlib.PurePath(text).parts == ("configs", path.name) and path.stem in recipes:
        path = recipes[path.stem]
        _log.info("%s does not exist; using the recipe of the package, %s", text, path)
        return path
    raise errors.UserError(
        f"There is no config file {str(path)!r}. Expected --config=FILE.py, "
        "--config=FILE.py:VARIANT or --config=RECIPE, where RECIPE is one of "
        f"{', '.join(recipes)}."
    )


def _load(path: pathlib.Path) -> types.ModuleType:
    """Executes a file as a module of the package that consists of its folder."""
    recipes = _recipes_folder()
    _make_package(PACKAGE, recipes)
    package = PACKAGE
    if path.parent != recipes:
        # By the whole path: two folders with the same name are different packages.
        digest = hashlib.sha256(str(path.parent).encode(errors="surrogateescape"))
        package = f"_simclr_jax_configs_{digest.hexdigest()[:12]}"
        _make_package(package, path.parent)
    name = f"{package}.{path.stem.replace('.', '_')}"
    spec = importlib.util.spec_from_file_location(name, path)
    return _execute(spec)


def _make_package(name: str, folder: pathlib.Path) -> None:
    """Makes a folder importable as a package, even without an ``__init__.py``."""
    if name in sys.modules:
        return
    init = folder / "__init__.py"
    where = [str(folder)]
    if init.is_file():
        spec = importlib.util.spec_from_file_location(
            name, init, submodule_search_locations=where
        )
    else:
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = where
    _execute(spec)


def _execute(spec: importlib.machinery.ModuleSpec | None) -> types.ModuleType:
    """Executes the module of a spec and registers it in ``sys.modules``."""
    if spec is None:
        raise ImportError("The file cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        if spec.loader is not None:
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _describe_failure(path: pathlib.Path, error: Exception) -> str:
    """Describes an error in one line, with the last line of the config files."""
    place = str(path)
    for frame in traceback.extract_tb(error.__traceback__):
        if pathlib.Path(frame.filename).is_relative_to(path.parent):
            place = f"{frame.filename}, line {frame.lineno}"
    what = " ".join(str(error).split())
    return f"The config file fails: {place}: {type(error).__name__}: {what}"
