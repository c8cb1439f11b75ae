"""The house style as tests."""

import importlib
import inspect
import re
import subprocess
import sys

import pytest

import simclr_jax

ROOMS = [name for name in simclr_jax._PACKAGES if name != "core"]


def public_objects():
    for room in ROOMS:
        module = importlib.import_module(f"simclr_jax.{room}")
        for name in module.__all__:
            yield room, name, getattr(module, name)


def public_functions():
    """Every function in an ``__all__``, as test parameters."""
    for room, name, value in public_objects():
        value = inspect.unwrap(value)
        if inspect.isfunction(value):
            yield pytest.param(room, value, id=f"{room}.{name}")


def test_the_namespaces_are_lazy_and_listed():
    assert sorted(simclr_jax.__all__) == dir(simclr_jax)
    with pytest.raises(
        AttributeError, match=r"no attribute 'nothing'; it has fit, load, aot"
    ):
        _ = simclr_jax.nothing


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_is_and_lists_its_names(room):
    module = importlib.import_module(f"simclr_jax.{room}")
    assert module.__doc__
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize(("room", "function"), list(public_functions()))
def test_public_functions_say_what_they_take_and_return(room, function):
    text = inspect.getdoc(function) or ""
    parameters = inspect.signature(function).parameters
    summary = text.splitlines()[0] if text else ""
    assert summary.endswith((".", ":")), f"{function.__name__} has no summary"
    if len(parameters) > 1 and summary != text:
        for name in parameters:
            assert re.search(rf"^\s*\*{{0,2}}{name}:", text, re.M), (
                f"{name} is not said"
            )
        returns = inspect.signature(function).return_annotation
        if returns not in (None, "None"):
            assert re.search(r"^(Returns|Yields):", text, re.M)


@pytest.mark.parametrize(("room", "function"), list(public_functions()))
def test_the_key_comes_first(room, function):
    names = list(inspect.signature(function).parameters)
    kinds = inspect.signature(function).parameters
    if "key" in names and kinds["key"].kind is not inspect.Parameter.KEYWORD_ONLY:
        assert names[0] == "key" or room == "training"


@pytest.mark.parametrize(("room", "function"), list(public_functions()))
def test_options_are_keyword_only(room, function):
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, f"{name}"


def test_importing_the_package_costs_next_to_nothing():
    code = (
        "import sys, jax, time; before = set(sys.modules); start = time.perf_counter();"
        "import simclr_jax; seconds = time.perf_counter() - start;"
        "new = {name.split('.')[0] for name in set(sys.modules) - before};"
        "assert seconds < 0.3, seconds; assert new == {'simclr_jax'}, new"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
