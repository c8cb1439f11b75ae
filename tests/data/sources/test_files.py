import os

import pytest

from simclr_jax.core import errors
from simclr_jax.data.sources import files

pytestmark = pytest.mark.quick


@pytest.fixture
def shards(tmp_path):
    """Returns the folder of some empty files."""
    for name in ("b-001.tar", "b-000.tar", "b-010.tar", "a-000.tar", "x[1].tar"):
        (tmp_path / name).touch()
    (tmp_path / "sub.tar").mkdir()
    return tmp_path


def find(pattern, *, split="train"):
    found = files.find_files(str(pattern), split=split, kind="webdataset")
    return [os.path.basename(path) for path in found]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.tar", ["a-000.tar", "b-000.tar", "b-001.tar", "b-010.tar", "x[1].tar"]),
        ("b-00?.tar", ["b-000.tar", "b-001.tar"]),
        ("b-{000..001}.tar", ["b-000.tar", "b-001.tar"]),
        ("{b,a}-000.tar", ["a-000.tar", "b-000.tar"]),
        ("{a,b}-{000..000}.tar", ["a-000.tar", "b-000.tar"]),
        ("b-0{0..1}0.tar", ["b-000.tar", "b-010.tar"]),
        ("{b-000,b-*}.tar", ["b-000.tar", "b-001.tar", "b-010.tar"]),
        ("x[1].tar", ["x[1].tar"]),
    ],
)
def test_expands_patterns(shards, pattern, expected):
    assert find(shards / pattern) == expected


def test_home_folder(shards, monkeypatch):
    monkeypatch.setenv("HOME", str(shards))
    assert find("~/a-*.tar") == ["a-000.tar"]


def test_splits_in_the_pattern(shards):
    assert find(shards / "{split}-*.tar", split="a") == ["a-000.tar"]
    with pytest.raises(
        errors.DataError, match=r"Unknown split 'test'.*write \{split\}"
    ):
        find(shards / "a-*.tar", split="test")
    with pytest.raises(errors.DataError, match=r"no file matches '.*test-\*.tar'"):
        find(shards / "{split}-*.tar", split="test")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("c-*.tar", r"no file matches '.*c-\*.tar'"),
        ("sub.tar", r"names a folder.*sub.tar/\*"),
        # A shard that is missing from a list is not passed over.
        ("b-{000..002}.tar", r"there is no file '.*b-002.tar'"),
    ],
)
def test_missing_files_raise_an_error(shards, pattern, message):
    with pytest.raises(errors.DataError, match=message):
        find(shards / pattern)


def test_digest_depends_on_names_sizes_and_counts():
    digests = {
        files.digest_of([("a", 1), ("b", 2)], num_records=2),
        files.digest_of([("a", 1), ("b", 3)], num_records=2),
        files.digest_of([("b", 2), ("a", 1)], num_records=2),
        files.digest_of([("a", 1), ("c", 2)], num_records=2),
        files.digest_of([("a", 1), ("b", 2)], num_records=3),
        files.digest_of([("a", 1)], num_records=2),
    }
    assert len(digests) == 6
    assert all(len(digest) == 12 for digest in digests)
