"""Plain words: retired ones stay out of the prose, and first lines say what it does."""

import ast
import functools
import io
import itertools
import pathlib
import re
import subprocess
import tokenize

import pytest

ROOT = pathlib.Path(__file__).parents[1]

# Past results and entries are not rewritten, and this file lists the words themselves.
NOT_READ = ("benchmarks/results/", "CHANGELOG.md", "tests/test_language.py")

# Each retired pattern, with what to write instead.
RETIRED = {
    r"rooms?": "package; of memory or disks: space",
    r"pages? of (a|the) checkpoints?": "metadata",
    r"(is|are|was|were) not there": "missing",
    r"changes? (no|not a) (number|result|loss)s?": "does not affect results",
    r"meets?|met": "exchange, compare with",
    r"canvas(es)?": "padded image (the config field is `data.canvas`)",
    r"house": "project",
    r"(says?|said|tells?|told) of (itself|themselves)": "metadata",
    r"asked": "requested",
    r"the way of": "say it directly",
    r"bad (image|file|record|picture|photograph)s?": "corrupt",
    r"for nothing": "without extra work",
    r"manyth": "stride",
    r"next to nothing": "a number, or: little",
}

# Words that are retired in a part of the repository only: they are right elsewhere.
RETIRED_IN = {
    "simclr_jax/losses/": {r"schedules?": "algorithm", r"messages?": "collectives"},
    "tests/losses/": {r"schedules?": "algorithm"},
}

# (start of the path, words of the line): right here, for the reason given.
ALLOWED = {
    # The messages of checks name the argument, which has the name of the config field.
    ("tests/", "canvas must be a whole number"),
    # Named after the config field on_bad_image.
    ("tests/programs/test_folder_run.py", "on bad image"),
}

# Titles that leave the reader to find out what the thing is.
RIDDLES = re.compile(r"(What|How|That|Which|So|Where|Why|Who)\b")


@functools.cache
def files(*endings):
    """Returns the tracked files with an ending, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [
        name
        for name in sorted(listed.stdout.splitlines())
        if name.endswith(endings)
        and not name.startswith(NOT_READ)
        and (ROOT / name).is_file()
    ]


def prose_of_python(text):
    """Yields (line, prose) of comments, docstrings and messages, without code."""
    fstring = getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
        elif token.type in (tokenize.STRING, fstring) and " " in token.string:
            for number, line in enumerate(_without_code(token.string).splitlines()):
                yield token.start[0] + number, line
        elif token.type == tokenize.NAME and token.string.startswith("test_"):
            yield token.start[0], token.string.replace("_", " ")


def prose_of_markdown(text):
    """Yields (line, prose) of a document, without code."""
    yield from enumerate(_without_code(text).splitlines(), 1)


def _without_code(text):
    blank = lambda match: re.sub(r"[^\n]", " ", match[0])
    text = re.sub(r"^ *```.*?^ *```", blank, text, flags=re.S | re.M)
    text = re.sub(r"``[^`]*``|`[^`]*`", blank, text)
    text = re.sub(r"^ *(>>>|\.\.\. ).*$", blank, text, flags=re.M)
    # Names and types at the start of an entry of Args, and attributes of objects.
    text = re.sub(r"^ *\*{0,2}\w+: ", blank, text, flags=re.M)
    return re.sub(r"\w*[._=/-]\w[\w./=-]*|\{[^{}\n]*\}", blank, text)


def retired_for(name):
    """Returns the retired patterns that hold in a file."""
    patterns = dict(RETIRED)
    for folder, more in RETIRED_IN.items():
        if name.startswith(folder):
            patterns |= more
    return patterns


@pytest.mark.parametrize("ending", [".py", ".md"])
def test_retired_words_stay_out(ending):
    found = []
    for name in files(ending):
        text = (ROOT / name).read_text()
        lines = prose_of_python(text) if ending == ".py" else prose_of_markdown(text)
        for number, line in lines:
            for pattern, instead in retired_for(name).items():
                match = re.search(rf"\b(?:{pattern})\b", line, re.I)
                if match and not any(
                    name.startswith(start) and words in line for start, words in ALLOWED
                ):
                    found.append(f"{name}:{number}: {match[0]!r} -> {instead}")
    assert not found, "\n".join(["retired words:", *found])


def documented_nodes(tree):
    """Yields (name, node) of a module and all in it that may have a docstring."""
    yield "module", tree
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node


def first_lines(tree):
    """Yields (name, docstring), docstrings below assignments included."""
    for name, node in documented_nodes(tree):
        text = ast.get_docstring(node)
        if text:
            yield name, text
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef):
            for before, after in itertools.pairwise(body):
                is_text = isinstance(after, ast.Expr) and isinstance(
                    after.value, ast.Constant
                )
                if isinstance(before, ast.Assign | ast.AnnAssign) and is_text:
                    yield ast.unparse(before)[:30], str(after.value.value)


def test_first_lines_name_the_thing_and_end():
    wrong = []
    for name in files(".py"):
        if not name.startswith(("simclr_jax/", "configs/", "examples/", "benchmarks/")):
            continue
        for title, text in first_lines(ast.parse((ROOT / name).read_text())):
            paragraph = text.strip().split("\n\n")[0]
            first = paragraph.splitlines()[0]
            if RIDDLES.match(first):
                wrong.append(f"{name}: {title}: {first}")
            elif (
                not paragraph.rstrip().endswith((".", ":", "?"))
                and "http" not in paragraph
            ):
                wrong.append(f"{name}: {title}: no period: {first}")
    assert not wrong, "\n".join(["first lines:", *wrong])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("# a room\n", "a room"),
        ('x = "the room is full"\n', "the room is full"),
        ("def test_a_room(): pass\n", "test a room"),
        ("x = f'the ``room`` is'\n", "the"),
    ],
)
def test_prose_is_found_where_it_is(source, expected):
    (line,) = (line for _, line in prose_of_python(source))
    assert expected in line
    assert ("room" in line) == ("room" in expected)
