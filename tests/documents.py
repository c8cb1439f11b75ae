"""Commands and Python code in README.md, CONTRIBUTING.md, docs/ and the examples.

A comment directly above a block says how it is treated:
``<!-- not run: REASON -->``, ``<!-- slow: REASON -->`` or ``<!-- file: PATH -->``, a
file that other blocks of the document use.
"""

import ast
import dataclasses
import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
PROGRAMS = ROOT / "simclr_jax" / "programs"

_COMMENT = re.compile(r"<!-- (not run|slow|file): (.+?) -->")
_COMMAND = re.compile(
    r"(?:-m simclr_jax|^simclr|[`'] *simclr) ([a-z]+)((?: [^`;&']*)?)"
)


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of code: where it is, its language, its text and the comment above it."""

    document: str
    line: int
    language: str
    text: str
    kind: str = ""
    reason: str = ""

    @property
    def name(self):
        """Names the block by its document and its first command, for test ids."""
        first = next(x for x in self.text.splitlines() if not x.startswith("#"))
        words = re.sub(r"python -m simclr_jax ", "", first).rstrip("\\").strip()
        return f"{self.document}:{words[:60]}"


def title(path):
    """Returns the path of a document below the checkout, for test ids."""
    return str(path.relative_to(ROOT))


def blocks_of(path):
    """Yields the blocks of a document, in order; those without a language too."""
    lines = path.read_text().splitlines()
    opened = None
    for number, line in enumerate(lines):
        fence = re.match(r"\s*```(\w*)", line)
        if not fence:
            continue
        if opened is None:
            opened = number, fence[1]
            continue
        start, language = opened
        comment = _COMMENT.fullmatch(lines[start - 1]) if start else None
        yield Block(
            title(path),
            start + 1,
            language,
            "\n".join(lines[start + 1 : number]),
            *(comment.groups() if comment else ()),
        )
        opened = None
    assert opened is None, f"{path}: a block is not closed"


def example_blocks(path):
    """Yields each command in the docstring of an example as a block of its own."""
    text = (ast.get_docstring(ast.parse(path.read_text())) or "").replace("\\\n", " ")
    for number, line in enumerate(text.splitlines()):
        if line.strip().startswith("python "):
            command = re.sub(r" +", " ", line.strip())
            own = path.name == "own_method.py"
            kind = () if own else ("slow", "the whole example is run")
            yield Block(str(path.relative_to(ROOT)), number, "bash", command, *kind)


def all_blocks():
    """Returns the blocks of all documents and examples."""
    found = [block for path in DOCUMENTS for block in blocks_of(path)]
    return found + [block for path in EXAMPLES for block in example_blocks(path)]


def commands(text):
    """Yields (program, arguments) of the library's commands in a block of code."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = re.sub(r"#.*", "", re.sub(r'"(python -m [^"]*)"', r"\1", line))
        line = _without_inner_quotes(line)
        for program, arguments in _COMMAND.findall(line):
            if (PROGRAMS / f"{program}.py").exists():
                yield program, shlex.split(arguments.replace("\0", "'"))


def spans(path):
    """Returns the pieces of code within the sentences of a document."""
    prose = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    return [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", prose)]


def _without_inner_quotes(line):
    """Hides the single quotes within double ones, which do not end a command."""
    return re.sub(r'"[^"]*"', lambda found: found[0].replace("'", "\0"), line)


def flags_of(program):
    """Returns the names of the flags that a program defines, read from its source."""
    source = (PROGRAMS / f"{program}.py").read_text()
    names = set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source))
    return names | ({"config"} if re.search(r"_CONFIG = ", source) else set())


def config_fields(text):
    """Returns the fields that ``--config.FIELD`` names in a text."""
    return set(re.findall(r"--config\.([a-z][\w.]*\w)", text))
