"""Every command and every Python block of the documents is run as it is written.

Commands run in a shell, each block in a fresh folder; ``shortened.py`` stands for
python on the PATH and adds flags that make a run short. What cannot be run here is
marked in the document with its reason, and is checked to be well formed.
"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import document_files
import documents
import pytest

from simclr_jax import assembly
from simclr_jax.core import errors, paths

TESTS = pathlib.Path(__file__).parent
BLOCKS = documents.all_blocks()
TRAIN = "python -m simclr_jax pretrain --config=mnist --config.data.source=mnist_sample"


def parameter(block):
    marks = [pytest.mark.slow] if block.kind == "slow" else []
    return pytest.param(block, id=block.name, marks=marks)


def once(blocks):
    """Leaves out blocks whose text was seen before."""
    seen = {}
    for block in blocks:
        seen.setdefault(block.text, block)
    return list(seen.values())


SHELL = [b for b in BLOCKS if b.language == "bash"]
RUN = once(block for block in SHELL if block.kind != "not run")


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """Returns a function that runs a text in bash as a user does, but short."""
    root = tmp_path_factory.mktemp("documents")
    for name in ("python", "pip", "pytest", "simclr", "mkdocs", "ruff"):
        stub = root / "bin" / name
        stub.parent.mkdir(exist_ok=True)
        command = [sys.executable, str(TESTS / "shortened.py"), name]
        stub.write_text(f'#!/bin/bash\nexec {shlex.join(command)} "$@"\n')
        stub.chmod(0o755)
    document_files.tfds_sets(root / "tfds")
    environment = os.environ | {
        "PATH": f"{root / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(documents.ROOT),
        "HOME": str(root),
        "TFDS_DATA_DIR": str(root / "tfds"),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_backend_optimization_level=1",  # compiles faster
        "JAX_COMPILATION_CACHE_DIR": str(root / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }

    def run(text, *, cwd, timeout=300):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        shown = f"{text}\n{done.stdout}\n{done.stderr[-5000:]}"
        assert done.returncode == 0, shown
        assert "Traceback" not in done.stderr, shown
        return done

    run.tfds = root / "tfds"
    return run


@pytest.fixture(scope="module")
def trained(shell, tmp_path_factory):
    """The workdir of a small run on digits, for the commands that read one."""
    folder = tmp_path_factory.mktemp("trained")
    shell(f"{TRAIN} --workdir=run", cwd=folder)
    return folder / "run"


def prepare(text, folder, shell, request):
    """Makes what a block of code reads: images, runs, files of the checkout."""
    document_files.make(folder, *document_files.wanted(text))
    for name in ("examples", "configs"):
        if f"{name}/" in text:
            (folder / name).symlink_to(documents.ROOT / name)
    for name in ("data/tfds", "DIR"):
        if f"data_dir={name}" in text:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).symlink_to(shell.tfds)
    for run in re.findall(r"checkpoint=(runs/\w+)", text):
        if f"--workdir={run}" not in text and not (folder / run).exists():
            shutil.copytree(request.getfixturevalue("trained"), folder / run)


def write_files(document, folder):
    """Writes the files that a document shows with their names."""
    for block in BLOCKS:
        if block.document == document and block.kind == "file":
            path = folder / block.reason
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text + "\n")


@pytest.fixture(scope="module")
def shown_files(tmp_path_factory):
    """A folder with the files that the documents show, and the examples."""
    folder = tmp_path_factory.mktemp("shown")
    (folder / "examples").symlink_to(documents.ROOT / "examples")
    for document in {block.document for block in BLOCKS}:
        write_files(document, folder)
    return folder


@pytest.mark.documents
@pytest.mark.parametrize("block", [parameter(block) for block in RUN])
def test_commands_run_as_written(block, shell, tmp_path, request):
    prepare(block.text, tmp_path, shell, request)
    write_files(block.document, tmp_path)
    shell(block.text, cwd=tmp_path)


def python_documents():
    """Returns the documents with Python code that is not a file."""
    return sorted(
        {b.document for b in BLOCKS if b.language == "python" and b.kind != "file"}
    )


@pytest.mark.documents
@pytest.mark.parametrize("document", python_documents())
def test_python_code_runs_as_written(document, shell, tmp_path):
    parts = ["import document_code"]
    for block in BLOCKS:
        if block.document != document or block.language != "python":
            continue
        if block.kind == "file":
            continue
        parts.append(f"# line {block.line} of {document}\n{block.text}")
        if shown := re.match(r"(method|rules) = [{(]", block.text):
            parts.append(f"document_code.check_part({shown[1]})")
    script = tmp_path / "code.py"
    script.write_text("\n\n".join(parts) + "\n")
    command = shlex.join([sys.executable, str(TESTS / "document_code.py"), script.name])
    shell(command, cwd=tmp_path)


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.kind], ids=lambda block: block.name
)
def test_what_is_not_run_here_has_a_reason(block):
    assert len(block.reason.split()) >= 2 or block.kind == "file", block
    if block.kind != "file":
        assert block.language == "bash", "Python code is always run"


def test_every_block_has_a_known_language():
    assert {block.language for block in BLOCKS} <= {"bash", "python", ""}
    for block in BLOCKS:  # what is not run shows a layout or an equation
        assert block.language or not list(documents.commands(block.text)), block


@pytest.mark.parametrize("path", documents.DOCUMENTS, ids=documents.title)
def test_every_comment_is_above_a_block(path):
    text = path.read_text()
    comments = re.findall(r"<!--.*", text)
    kinds = [block for block in documents.blocks_of(path) if block.kind]
    assert len(comments) == len(kinds), comments


def every_command():
    """Yields all commands of the library: in blocks, and within sentences."""
    texts = [block.text for block in BLOCKS]
    texts += [span for path in documents.DOCUMENTS for span in documents.spans(path)]
    found = {(p, *words) for text in texts for p, words in documents.commands(text)}
    for words in sorted(found):
        yield pytest.param(words[0], words[1:], id=" ".join(words)[:90])


@pytest.mark.parametrize(("program", "arguments"), list(every_command()))
def test_every_command_is_well_formed(program, arguments, monkeypatch, shown_files):
    monkeypatch.chdir(shown_files)
    known = documents.flags_of(program)
    names = [
        argument[2:].split("=")[0] for argument in arguments if argument[:2] == "--"
    ]
    for name in names:
        assert name.split(".")[0] in known, f"{program} has no flag --{name}"
    pairs = [argument[2:].partition("=") for argument in arguments]
    values = {name: value for name, _, value in pairs}
    if values.get("config"):
        config = assembly.load_config(values["config"])
        changes = [(n[7:], v) for n, _, v in pairs if n.startswith("config.")]
        assembly.config.apply_overrides(config, changes)
        assembly.config.check(config)
    for name in ("workdir", "checkpoint", "out", "output"):
        if values.get(name):
            paths.local_path(values[name].replace("$HOME", "~"), what=name)


@pytest.mark.parametrize("path", documents.DOCUMENTS, ids=documents.title)
def test_every_field_of_a_config_that_is_named_exists(path):
    for field in documents.config_fields(path.read_text()) - {"modules"}:
        config = assembly.load_config("cifar10")
        try:
            assembly.config.apply_overrides(config, [(field, "?")])
        except errors.UserError as error:  # "?" is no value; the field is there
            assert "must be" in str(error) or "Unknown" in str(error), error
            assert "field of the config" not in str(error), f"{path.name}: {error}"


@pytest.mark.parametrize("path", documents.DOCUMENTS, ids=documents.title)
def test_every_link_leads_somewhere(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), f"{path.name} links to {link}"
        if anchor:
            assert anchor in anchors(found), f"{path.name} links to {link}"


def anchors(path):
    """Returns the anchors of the headings of a document, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


def test_no_package_index_is_named_as_a_source_of_this_library():
    for path in documents.DOCUMENTS:
        assert not re.search(r"pip install [\"']?simclr.jax(?!-\*)", path.read_text())


def test_a_command_that_does_not_work_is_noticed(shell, tmp_path):
    with pytest.raises(AssertionError, match="no-such-program"):
        shell("python -m simclr_jax configs && no-such-program", cwd=tmp_path)
    text = "```bash\npython -m simclr_jax pretrain --confg=mnist\n```\n"
    ((program, arguments),) = documents.commands(text)
    assert arguments[0][2:].split("=")[0] not in documents.flags_of(program)
