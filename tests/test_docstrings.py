"""The examples of the docstrings: each runs as it is written, and none is missing."""

import doctest
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import public_names
import pytest
from flax import nnx

# Functions whose examples only show the call, since it needs what a test has not.
NOT_RUN: dict[str, str] = {}

# Exported to other packages of the library, not to its users.
INTERNAL = ("data.sources.", "losses.similarity.")

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NUMBER = re.compile(r"(?<![\w.])[+-]?(?:\d+\.\d*|\.\d+|\d+(?=e))(?:e[+-]?\d+)?")
PARSER = doctest.DocTestParser()


class NumberChecker(doctest.OutputChecker):
    """Compares a number with a decimal point to as many digits as the example shows."""

    def check_output(self, want, got, optionflags):
        """Returns whether ``got`` is ``want`` but for digits that are not shown."""
        shown, printed = NUMBER.findall(want), list(NUMBER.finditer(got))
        if len(shown) == len(printed):
            for text, match in reversed(list(zip(shown, printed, strict=True))):
                if _agree(text, match[0]):
                    got = got[: match.start()] + text + got[match.end() :]
        return super().check_output(want, got, optionflags)


def _agree(shown, printed):
    mantissa, _, exponent = shown.lower().partition("e")
    decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
    return abs(float(shown) - float(printed)) <= 0.5000001 * 10.0**-decimals


def examples_of(name, value):
    """Returns the examples of one docstring, as a test of ``doctest``."""
    unwrapped = inspect.unwrap(value)
    text = getattr(unwrapped, "__doc__", None) or ""
    names = {"jax": jax, "jnp": jnp, "np": np, "nnx": nnx}
    try:
        path, line = inspect.getsourcefile(unwrapped), inspect.findsource(unwrapped)[1]
    except (OSError, TypeError):
        path, line = None, None
    return PARSER.get_doctest(text, names, name, path, line)


def documented():
    """Yields every module and public object that a docstring may show in use."""
    for name, module in public_names.modules().items():
        yield public_names.Public(name, module)
    for public in public_names.public_objects():
        if not inspect.ismodule(public.value):
            yield public
    for owner in public_names.classes():
        yield from public_names.methods(owner)


def called_by_users():
    """Returns the public functions that must have an example."""
    return [
        public
        for public in public_names.functions()
        if not public.name.startswith(INTERNAL)
    ]


def with_examples():
    """Yields the docstrings that have examples, as test parameters."""
    for public in documented():
        test = examples_of(*public)
        if test.examples:
            yield pytest.param(test, id=public.name)


def is_run(test):
    """Returns whether an example of the docstring is more than shown."""
    return not all(example.options.get(doctest.SKIP) for example in test.examples)


@pytest.mark.documents
@pytest.mark.parametrize("test", list(with_examples()))
def test_example_runs_and_prints_what_it_shows(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(NumberChecker(), verbose=False, optionflags=OPTIONS)
    report = []
    if runner.run(test, out=report.append).failed:
        pytest.fail("".join(report), pytrace=False)


def test_every_public_function_has_an_example():
    tests = {public.name: examples_of(*public) for public in called_by_users()}
    without = {name for name, test in tests.items() if not test.examples}
    assert not without, f"no example: {sorted(without)}"
    shown = {name for name, test in tests.items() if test.examples and not is_run(test)}
    assert shown == set(NOT_RUN), (
        f"no example is run: {sorted(shown - set(NOT_RUN))}; "
        f"to be removed from NOT_RUN: {sorted(set(NOT_RUN) - shown)}"
    )


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("0.69", "0.6931", True),
        ("0.69", "0.7012", False),
        ("[1.0, 2.5e-3]", "[0.98, 0.00252]", True),
        ("3", "3.2", False),
        ("-0.5", "0.5", False),
    ],
)
def test_numbers_are_compared_to_the_digits_shown(shown, printed, same):
    assert NumberChecker().check_output(f"{shown}\n", f"{printed}\n", OPTIONS) == same
