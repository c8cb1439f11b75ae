"""The modules of the library that a file uses, found by reading it."""

import ast
import functools
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "simclr_jax"


def dotted(path: pathlib.Path) -> str:
    """Returns the dotted name of a module of the library."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def names_of(path: pathlib.Path) -> set[str]:
    """Returns the dotted names below ``simclr_jax`` that a file imports or reads.

    Names are followed through ``import`` and ``from``, then attributes; a string that
    is a dotted name of a module, as ``python -m`` or ``monkeypatch`` take it, counts.
    """
    tree = ast.parse(path.read_text())
    known = {}
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names.add(alias.name)
                first = alias.name.partition(".")[0]
                known[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                known[alias.asname or alias.name] = name
                names.add(name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.update(re.findall(r"simclr_jax(?:\.\w+)+", node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            chain = _chain(node)
            if chain and chain[0] in known:
                names.add(".".join((known[chain[0]], *chain[1:])))
    return {name for name in names if name.split(".")[0] == "simclr_jax"}


def modules_of(path: pathlib.Path) -> set[str]:
    """Returns the modules that define the names which a file uses."""
    found = set()
    for name in names_of(path):
        parts = name.split(".")
        while parts:
            found.add(".".join(parts))
            for end in range(len(parts), 0, -1):
                origin = exports().get(".".join(parts[:end]))
                if origin:
                    parts = [*origin.split("."), *parts[end:]]
                    break
            else:
                parts = parts[:-1]
    return found


@functools.cache
def exports() -> dict[str, str]:
    """Returns where each name that a package takes from a module comes from."""
    found = {"simclr_jax.fit": "simclr_jax.assembly.fit"}
    found["simclr_jax.load"] = "simclr_jax.assembly.load"
    for path in PACKAGE.rglob("__init__.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    here = f"{dotted(path)}.{alias.asname or alias.name}"
                    there = f"{node.module}.{alias.name}"
                    # A function of the same name as its module is found by itself.
                    if not f"{there}.".startswith(f"{here}."):
                        found[here] = there
    return found


def _chain(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Attribute):
        inner = _chain(node.value)
        return [*inner, node.attr] if inner else []
    return [node.id] if isinstance(node, ast.Name) else []


def strings_of(path: pathlib.Path) -> set[str]:
    """Returns the strings of a file, which may be keys of a registry or programs."""
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
