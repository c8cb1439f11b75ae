import os
import pathlib
import threading

import pytest

from simclr_jax.core import errors, paths

pytestmark = pytest.mark.quick


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, which is the home folder too."""
    folder = tmp_path.resolve() / "a b été"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run", "run"),
        ("./run/", "run"),
        ("runs//x/.", "runs/x"),
        ("~/run", "run"),
        ("~", ""),
        ("./~/run", "~/run"),
        ("./~nobody-here", "~nobody-here"),
        ("x/../run", "run"),
        ("ü b/Ω", "ü b/Ω"),
        ("a:b/run", "a:b/run"),
        ("C:/x", "C:/x"),
        (pathlib.Path("~/run"), "run"),
    ],
)
def test_local_path_is_absolute(here, text, expected):
    path = paths.local_path(text, what="workdir")
    assert path.is_absolute()
    assert path == here / expected


def test_parent_folders_resolve_symbolic_links(here):
    (here / "far" / "away").mkdir(parents=True)
    (here / "link").symlink_to("far/away")
    assert paths.local_path("link/../run", what="workdir") == here / "far" / "run"
    assert paths.local_path("link/run", what="workdir") == here / "link" / "run"


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("gs://bucket/run", "gcsfuse"),
        ("gs:/bucket/run", "gcsfuse"),
        (pathlib.Path("gs://bucket/run"), "gcsfuse"),
        ("S3://bucket/run", "mount-s3"),
        ("file:///data", "without file://"),
        ("https://host/x.npz", "Download it"),
        ("dbfs:/mnt/x", "Use a local disk"),
    ],
)
def test_rejects_urls_and_says_what_to_do(text, remedy):
    with pytest.raises(errors.UserError, match=rf"^workdir .* is a URL.*{remedy}") as e:
        paths.local_path(text, what="workdir")
    assert "\n" not in str(e.value)


def test_rejects_empty_paths_and_unknown_users():
    with pytest.raises(errors.UserError, match="workdir is empty"):
        paths.local_path("", what="workdir")
    with pytest.raises(errors.UserError, match=r"unknown here. Write '\./~nobody-here"):
        paths.local_path("~nobody-here/run", what="workdir")


def test_local_pattern_keeps_wildcards_and_relative_paths(here):
    assert paths.local_pattern("x-{0..9}/**/*.tar", what="x") == "x-{0..9}/**/*.tar"
    assert paths.local_pattern("~/*.tar", what="x") == f"{here}/*.tar"


def test_output_file_creates_its_folder(here):
    path = paths.output_file("new/folder/é.json", what="output")
    assert path == here / "new" / "folder" / "é.json"
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (".", "is a folder; expected the path of a file"),
        ("new/", "is a folder; expected the path of a file"),
        ("taken/x.json", "cannot be written: "),
        ("/proc/none/x.json", "cannot be written: "),
        ("x" * 300, "cannot be written: File name too long"),
        ("x" * 300 + "/x", "cannot be written: File name too long"),
    ],
)
def test_output_file_rejects_paths_that_cannot_be_written(here, text, message):
    (here / "taken").touch()
    with pytest.raises(errors.UserError, match=message):
        paths.output_file(text, what="output")


def test_replacing_is_atomic(here):
    path = here / "result.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        with paths.replacing(path, what="output") as temporary:
            temporary.write_text("half")
            _ = 1 // 0
    assert path.read_text() == "old"
    paths.write_text(path, "new é", what="output")
    assert path.read_text(encoding="utf-8") == "new é"
    assert [entry.name for entry in here.iterdir()] == ["result.json"]


def test_replacing_works_for_the_longest_file_name(here):
    path = here / ("x" * 255)
    paths.write_text(paths.output_file(path, what="output"), "text", what="output")
    assert path.read_text() == "text"


def test_replacing_keeps_a_symbolic_link(here):
    (here / "far").mkdir()
    (here / "link.json").symlink_to("far/real.json")
    path = paths.output_file("link.json", what="output")
    paths.write_text(path, "text", what="output")
    assert path.is_symlink()
    assert (here / "far" / "real.json").read_text() == "text"


def test_replacing_writes_directly_to_a_pipe(here):
    os.mkfifo(here / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((here / "pipe").read_text()))
    reader.start()
    path = paths.output_file("pipe", what="output")
    paths.write_text(path, "text", what="output")
    reader.join(timeout=10)
    assert read == ["text"]
    assert path.is_fifo()


def test_write_text_reports_a_missing_folder(here):
    with pytest.raises(errors.UserError, match=r"output .* cannot be written: No such"):
        paths.write_text(here / "none" / "x.json", "text", what="output")
