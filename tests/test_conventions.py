"""The conventions of the project as tests: names, arguments, documentation, classes."""

import abc
import ast
import functools
import inspect
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import jax
import numpy as np
import public_names
import pytest

import simclr_jax

ROOT = pathlib.Path(__file__).parents[1]

# Arguments that are not documented yet. An entry leaves when its argument is described.
UNDOCUMENTED: set[str] = set()

# Results that are not documented yet.
RESULT_UNDOCUMENTED: set[str] = set()

# Array arguments without a shape, in the annotation or in the text.
WITHOUT_SHAPE: set[str] = set()

# Concrete classes that are not final yet.
NOT_FINAL: set[str] = set()

# Positional arguments with a default: the subject of a call, which may be left out.
POSITIONAL_OPTIONS = {
    "assembly.LoadedEncoder.open_images(spec)",
    "core.registry.Registry.build(options)",
    "losses.similarity.compare(columns)",
    "training.metrics.Goodput(clock)",
    # The names and the form are those of nnx.view.
    "nn.BatchNorm.set_view(num_groups)",
    "nn.BatchNorm.set_view(use_running_average)",
}

NOTHING = (None, "None", inspect.Signature.empty, Iterator[None])

# Packages of more than MOST_NAMES names.
LARGE_SURFACES: set[str] = set()
MOST_NAMES = 30

FUNCTIONS = public_names.functions()
CLASSES = public_names.classes()
METHODS = [method for owner in CLASSES for method in public_names.methods(owner)]
CONSTRUCTORS = [
    public_names.Public(owner.name, owner.value)
    for owner in CLASSES
    if inspect.isfunction(inspect.unwrap(owner.value.__init__))
    and not issubclass(owner.value, tuple | dict | Exception)
    and not inspect.isabstract(owner.value)
    and not getattr(owner.value, "_is_protocol", False)
]


def assert_shrinks(violations, allowed, advice):
    """Fails for a violation that is not listed, and for an entry that is none."""
    new, stale = sorted(violations - allowed), sorted(allowed - violations)
    assert not new and not stale, f"{advice}: {new}; no longer true, remove: {stale}"


def parameters(value):
    """Returns the parameters of a function, method or constructor but ``self``."""
    function = value.__init__ if inspect.isclass(value) else value
    found = inspect.signature(inspect.unwrap(function)).parameters
    return {name: found[name] for name in found if name not in ("self", "cls")}


@functools.cache
def protocol_texts():
    """Returns what the protocols of the library say of each of their methods."""
    texts = {}
    for owner in CLASSES:
        if getattr(owner.value, "_is_protocol", False):
            for method in public_names.methods(owner):
                name = method.name.rpartition(".")[2]
                texts[name] = texts.get(name, "") + (inspect.getdoc(method.value) or "")
    return texts


def documentation(public):
    """Returns the docstring, for a method with those of what it overrides."""
    value = public.value
    if inspect.isclass(value):
        texts = [
            inspect.cleandoc(text or "")
            for base in value.__mro__
            for text in (
                base.__doc__,
                getattr(vars(base).get("__init__"), "__doc__", ""),
            )
        ]
        return "\n".join(texts)
    name = public.name.rpartition(".")[2]
    texts = [inspect.getdoc(inspect.unwrap(value)) or ""]
    for owner in CLASSES:
        if public.name.startswith(f"{owner.name}."):
            bases = owner.value.__mro__[1:]
            texts += [inspect.getdoc(vars(base).get(name)) or "" for base in bases]
            texts.append(protocol_texts().get(name, ""))
    return "\n".join(texts)


def entry_of(name, text):
    """Returns the text about an argument: its entry, or all if the text names it."""
    entry = re.search(
        rf"^(?P<indent> *)\*{{0,2}}{name}: (?P<text>.*(?:\n(?P=indent) +.*)*)",
        text,
        re.M,
    )
    if entry:
        return entry["text"]
    named = any(
        re.search(rf"\b{name}\b", span) for span in re.findall("``(.*?)``", text, re.S)
    )
    return text if named else None


def test_namespaces_are_lazy_and_listed():
    assert sorted(simclr_jax.__all__) == dir(simclr_jax)
    with pytest.raises(
        AttributeError, match=r"no attribute 'nothing'; it has fit, load, aot"
    ):
        _ = simclr_jax.nothing


def test_packages_are_described_and_list_the_names_that_a_user_needs():
    large = set()
    for name, module in public_names.modules().items():
        if not hasattr(module, "__path__"):
            continue
        assert module.__doc__, f"{name} has no docstring"
        exported = getattr(module, "__all__", ())
        assert exported or name in public_names.BY_MODULE, f"{name} exports nothing"
        assert list(exported) == sorted(set(exported), key=_ruff_order), name
        assert all(hasattr(module, each) for each in exported), name
        if len(exported) > MOST_NAMES:
            large.add(name)
    assert_shrinks(large, LARGE_SURFACES, f"over {MOST_NAMES} names")


def _ruff_order(name):
    kind = 0 if name.isupper() else 1 if name[:1].isupper() else 2
    return kind, name


def test_arguments_are_documented():
    missing = {
        f"{public.name}({name})"
        for public in [*FUNCTIONS, *METHODS, *CONSTRUCTORS]
        for name in parameters(public.value)
        if entry_of(name, documentation(public)) is None
    }
    assert_shrinks(missing, UNDOCUMENTED, "not described under Args or by ``name``")


def test_results_are_documented():
    missing = set()
    for public in [*FUNCTIONS, *METHODS]:
        function = inspect.unwrap(public.value)
        text = documentation(public)
        returned = inspect.signature(function).return_annotation
        described = re.search(
            r"^(Returns|Yields):|(^|\. )(Returns|Yields) ", text, re.M
        )
        is_property = not inspect.isfunction(
            inspect.getattr_static(_owner(public), public.name.rpartition(".")[2], None)
        )
        if returned not in NOTHING and not described:
            if public in FUNCTIONS or not is_property:
                missing.add(public.name)
    assert_shrinks(missing, RESULT_UNDOCUMENTED, "no Returns: or Yields:")


def _owner(public):
    name = public.name.rpartition(".")[0]
    return next((owner.value for owner in CLASSES if owner.name == name), object)


def test_array_arguments_have_shapes():
    missing = set()
    for public in [*FUNCTIONS, *METHODS, *CONSTRUCTORS]:
        for name, parameter in parameters(public.value).items():
            is_array = parameter.annotation in (jax.Array, np.ndarray, "jax.Array")
            if is_array and not name.endswith("key"):
                entry = entry_of(name, documentation(public)) or ""
                if not re.search(r"\[.*\]|scalar|of any shape|shape", entry, re.S):
                    missing.add(f"{public.name}({name})")
    assert_shrinks(missing, WITHOUT_SHAPE, "no shape, as in [b d], in the text")


def test_the_key_comes_first():
    for public in [*FUNCTIONS, *METHODS]:
        found = parameters(public.value)
        if "key" in found and found["key"].kind is not inspect.Parameter.KEYWORD_ONLY:
            first = next(iter(found)) == "key"
            assert first or public.name.startswith("training."), public.name


def test_options_are_keyword_only():
    positional = {
        f"{public.name}({name})"
        for public in [*FUNCTIONS, *METHODS, *CONSTRUCTORS]
        for name, parameter in parameters(public.value).items()
        if parameter.default is not inspect.Parameter.empty
        and parameter.kind is not inspect.Parameter.KEYWORD_ONLY
        and not hasattr(public.value, "__dataclass_fields__")
    }
    assert_shrinks(positional, POSITIONAL_OPTIONS, "make them keyword-only")


def may_be_extended(value, bases):
    """Returns whether a class is meant to have subclasses, or is only a record.

    Interfaces (protocols and abstract classes), exceptions, and classes of which the
    library itself derives others are there to be extended. A record (a named tuple, a
    typed dictionary, a dataclass without public methods) has no behavior to protect.
    Everything else is concrete and must be ``typing.final``.
    """
    behavior = [
        name
        for name, member in vars(value).items()
        if callable(inspect.unwrap(member) if callable(member) else member)
        and (not name.startswith("_") or name == "__call__")
    ]
    record = hasattr(value, "__dataclass_fields__") and not behavior
    return (
        getattr(value, "_is_protocol", False)
        or inspect.isabstract(value)
        or abc.ABC in value.__bases__
        or issubclass(value, Exception | tuple | dict)
        or value in bases
        or record
    )


def test_concrete_classes_are_final():
    everything = [
        value
        for module in public_names.modules().values()
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__.startswith("simclr_jax.")
    ]
    bases = {base for value in everything for base in value.__mro__[1:]}
    wrong = {
        public.name
        for public in CLASSES
        if public.value.__module__.startswith("simclr_jax.")
        and not may_be_extended(public.value, bases)
        and not getattr(public.value, "__final__", False)
    }
    assert_shrinks(wrong, NOT_FINAL, "concrete, but not typing.final")


def test_programs_document_their_functions():
    for path in sorted((ROOT / "simclr_jax" / "programs").glob("[!_]*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                text = ast.get_docstring(node) or ""
                assert text, f"{path.stem}.{node.name} has no docstring"
                arguments = [*node.args.args, *node.args.kwonlyargs]
                for name in [each.arg for each in arguments if each.arg != "argv"]:
                    assert entry_of(name, text), f"{path.stem}.{node.name}({name})"


def test_importing_the_package_is_cheap():
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
