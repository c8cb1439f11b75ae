"""The public names of the library, listed for the tests of its conventions."""

import functools
import importlib
import inspect
import pkgutil
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

import simclr_jax

BY_MODULE = ("core", "data.sources")
"""Packages that export nothing themselves: their users import the modules."""

NOT_IMPORTED = ("programs", "__main__")
"""Programs define flags of the same names, so one process imports only one of them."""


class Public(NamedTuple):
    """A public object and the dotted name, below ``simclr_jax``, that finds it."""

    name: str
    value: Any


@functools.cache
def modules() -> dict[str, types.ModuleType]:
    """Returns every module and package of the library by its dotted name."""
    found = pkgutil.walk_packages(simclr_jax.__path__, "simclr_jax.")
    return {
        module.name.removeprefix("simclr_jax."): importlib.import_module(module.name)
        for module in found
        if module.name.split(".")[1] not in NOT_IMPORTED
    }


@functools.cache
def public_objects() -> tuple[Public, ...]:
    """Returns every public function and class, once, and the modules to import.

    Public is what the ``__all__`` of a package lists, and the names without an
    underscore that a module defines in a package of ``BY_MODULE``.
    """
    found: dict[int, Public] = {}
    for name, module in modules().items():
        for public in _listed(name, module):
            found.setdefault(id(inspect.unwrap(public.value)), public)
    return tuple(sorted(found.values(), key=lambda public: public.name))


def functions() -> list[Public]:
    """Returns the public functions, compiled or decorated ones included."""
    return [
        public
        for public in public_objects()
        if inspect.isfunction(inspect.unwrap(public.value))
    ]


def classes() -> list[Public]:
    """Returns the public classes."""
    return [public for public in public_objects() if inspect.isclass(public.value)]


def methods(owner: Public) -> Iterator[Public]:
    """Yields the public functions that a public class defines itself, unwrapped."""
    for name, value in vars(owner.value).items():
        if isinstance(value, classmethod | staticmethod):
            value = value.__func__
        elif isinstance(value, property | functools.cached_property):
            value = value.fget if isinstance(value, property) else value.func
        value = inspect.unwrap(value) if callable(value) else value
        if not name.startswith("_") and inspect.isfunction(value):
            yield Public(f"{owner.name}.{name}", value)


def _listed(name: str, module: types.ModuleType) -> Iterator[Public]:
    if hasattr(module, "__all__"):
        for exported in module.__all__:
            yield Public(f"{name}.{exported}", getattr(module, exported))
    elif name.startswith(BY_MODULE) and name not in BY_MODULE:
        for defined, value in vars(module).items():
            if not defined.startswith("_") and _is_from(module, value):
                yield Public(f"{name}.{defined}", value)


def _is_from(module: types.ModuleType, value: Any) -> bool:
    return getattr(value, "__module__", None) == module.__name__ and (
        inspect.isclass(value) or inspect.isfunction(inspect.unwrap(value))
    )
