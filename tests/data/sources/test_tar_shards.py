import io
import json
import tarfile

import image_bytes
import numpy as np
import pytest

from simclr_jax import data
from simclr_jax.core import errors


def write(path, members):
    """Writes a tar file of (name, bytes) pairs."""
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def samples(numbers, *, form="png"):
    for number in numbers:
        yield f"{number:04}.{form}", image_bytes.encode(number)
        yield f"{number:04}.cls", str(number % 3).encode()


@pytest.fixture
def shards(tmp_path):
    for shard in range(3):
        numbers = range(4 * shard, 4 * shard + 4)
        write(tmp_path / f"train-{shard:03}.tar", samples(numbers))
    write(tmp_path / "test-000.tar", samples([99]))
    return tmp_path


@pytest.mark.parametrize("pattern", ["train-*.tar", "train-{000..002}.tar"])
def test_reads_shards(shards, pattern):
    source = data.open_source(f"webdataset:{shards}/{pattern}")
    assert image_bytes.values(source) == list(range(12))
    assert image_bytes.labels(source) == [number % 3 for number in range(12)]
    assert (source.image_shape, source.num_classes) == (None, 3)
    assert source.title_of(5) == "train-001.tar/0005.png"
    image_bytes.check_source(source)


def test_splits(shards):
    spec = f"webdataset:{shards}/{{split}}-*.tar"
    assert len(data.open_source(spec)) == 12
    assert image_bytes.values(data.open_source(spec, split="test")) == [99]
    with pytest.raises(errors.DataError, match=r"Unknown split 'test'.*Choices: train"):
        data.open_source(f"webdataset:{shards}/train-*.tar", split="test")


def test_name_depends_on_contents_not_location(shards, tmp_path):
    first = data.open_source(f"webdataset:{shards}/train-*.tar").name
    (tmp_path / "else").mkdir()
    for path in shards.glob("train-*.tar"):
        path.rename(tmp_path / "else" / path.name)
    spec = f"webdataset:{tmp_path}/else/train-*.tar"
    assert first == data.open_source(spec).name
    assert first.startswith("webdataset:train@")
    write(tmp_path / "else" / "train-002.tar", samples(range(40)))
    assert first != data.open_source(spec).name


def test_reads_shards_of_the_webdataset_package(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(tmp_path / "x.tar")) as sink:
        for number in range(5):
            pixels = np.full((4, 4, 3), number, np.uint8)
            sink.write({"__key__": f"a/b{number}", "png": pixels, "cls": number})
        sink.write({"__key__": "last", "png": pixels, "json": {"label": 9}})
    source = data.open_source(f"webdataset:{tmp_path}/x.tar")
    assert image_bytes.values(source) == [0, 1, 2, 3, 4, 4]
    assert image_bytes.labels(source) == [0, 1, 2, 3, 4, 9]
    assert source.title_of(1) == "x.tar/a/b1.png"


def test_members_of_a_sample(tmp_path):
    image = image_bytes.encode(1)
    members = [
        ("a.seg.png", image_bytes.encode(2)),
        ("a.JPG", image),
        ("a.json", json.dumps({"label": 7, "text": "x"}).encode()),
        ("a.txt", b"a caption"),
        ("dir.with.dots/b.jpeg", image),
        ("dir.with.dots/b.cls", b" 4\n"),
        ("dir.with.dots/b.json", b'{"label": 5}'),
        ("no_image.cls", b"3"),
        ("no_label.webp", image),
        ("c.png", image),
        ("c.json", b'{"label": "cat"}'),
        ("d.png", image),
        ("d.json", b"[1, 2]"),
        ("e.png", image),
        ("e.json", b"{broken"),
        ("._a.png", b"macOS"),
        (".hidden.png", b"hidden"),
        ("Makefile", b"no extension"),
        ("late.cls", b"6"),
        ("f.png", image),
        ("late.png", image),
    ]
    write(tmp_path / "x.tar", members)
    source = data.open_source(f"webdataset:{tmp_path}/x.tar")
    titles = [source.title_of(i).removeprefix("x.tar/") for i in range(len(source))]
    found = dict(zip(titles, image_bytes.labels(source), strict=True))
    assert found == {
        "a.JPG": 7,
        "dir.with.dots/b.jpeg": 4,
        "no_label.webp": -1,
        "c.png": -1,
        "d.png": -1,
        "e.png": -1,
        "late.png": 6,
        "f.png": -1,
    }
    assert image_bytes.values(source) == [1] * 8
    assert source.num_classes == 8


def test_reads_labels_that_are_names(tmp_path):
    for split, names in (("train", ["owl", "cat"]), ("test", ["owl", "ant", None])):
        members = []
        for number, name in enumerate(names):
            text = json.dumps({"label": name, "grade": number}).encode()
            members += [(f"{number}.png", image_bytes.encode(1))]
            members += [(f"{number}.json", text)]
        write(tmp_path / f"{split}.tar", members)
    spec = f"webdataset:{tmp_path}/{{split}}.tar"
    for split, expected in (("train", [1, 0]), ("test", [1, 2, -1])):
        assert image_bytes.labels(data.open_source(spec, split=split)) == expected
    assert data.open_source(spec, split="test").class_names == ("cat", "owl", "ant")
    graded = data.open_source(spec, split="test", label="grade")
    assert image_bytes.labels(graded) == [0, 1, 2]
    assert graded.class_names is None
    with pytest.raises(errors.DataError, match=r"no sample has 'size' in its .json"):
        data.open_source(spec, label="size")


def test_shards_without_labels(tmp_path):
    write(tmp_path / "x.tar", [("a.png", image_bytes.encode(1))])
    source = data.open_source(f"webdataset:{tmp_path}/x.tar")
    assert source.num_classes is None
    assert image_bytes.labels(source) == [-1]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_and_other_members(tmp_path, form):
    name = "d" * 120 + "/" + "x" * 150 + ".png"
    with tarfile.open(tmp_path / "x.tar", "w", format=form) as tar:
        folder = tarfile.TarInfo("d.png")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        info = tarfile.TarInfo(name)
        info.size = len(image_bytes.encode(5))
        tar.addfile(info, io.BytesIO(image_bytes.encode(5)))
    source = data.open_source(f"webdataset:{tmp_path}/x.tar")
    assert image_bytes.values(source) == [5]
    assert source.title_of(0) == f"x.tar/{name}"


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz"])
def test_compressed_shards(tmp_path, mode):
    with tarfile.open(tmp_path / "x.tar", f"w:{mode}") as tar:
        tar.addfile(tarfile.TarInfo("a.png"))
    with pytest.raises(errors.DataError, match=r"x.tar' is compressed.*Unpack it"):
        data.open_source(f"webdataset:{tmp_path}/*")


def test_detects_every_truncation(tmp_path):
    path = write(tmp_path / "x.tar", samples(range(2)))
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        end = max(member.offset_data for member in tar) + 512
    assert len(data.open_source(f"webdataset:{path}")) == 2
    for length in (*range(0, end, 128), end):
        path.write_bytes(whole[:length])
        with pytest.raises(errors.DataError, match=r"x.tar' cannot be read as a tar"):
            data.open_source(f"webdataset:{path}")


def test_detects_damage_between_members(tmp_path):
    path = write(tmp_path / "x.tar", samples(range(4)))
    with tarfile.open(path) as tar:
        header = tar.getmember("0002.png").offset
    damaged = bytearray(path.read_bytes())
    damaged[header + 100] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(errors.DataError, match=r"cannot be read as a tar"):
        data.open_source(f"webdataset:{path}")


def test_rejects_files_that_are_no_shards(tmp_path):
    with pytest.raises(errors.DataError, match=r"no file matches"):
        data.open_source(f"webdataset:{tmp_path}/*.tar")
    (tmp_path / "x.tar").write_bytes(b"something else " * 1000)
    with pytest.raises(errors.DataError, match=r"cannot be read as a tar file"):
        data.open_source(f"webdataset:{tmp_path}/*.tar")
    write(tmp_path / "x.tar", [("a.cls", b"1"), ("b.txt", b"")])
    with pytest.raises(errors.DataError, match=r"no images in its 1 shards.*.jpg, .jp"):
        data.open_source(f"webdataset:{tmp_path}/*.tar")


@pytest.mark.parametrize("text", [b"cat", b"-1", b"", b"1.5", b"1" * 40, b"\xff"])
def test_rejects_invalid_labels(tmp_path, text):
    write(tmp_path / "x.tar", [("a.cls", text), ("a.png", image_bytes.encode(1))])
    with pytest.raises(errors.DataError, match=r"label in 'a.cls' is .*whole number"):
        data.open_source(f"webdataset:{tmp_path}/x.tar")


def test_detects_shards_that_change_after_opening(shards):
    source = data.open_source(f"webdataset:{shards}/train-*.tar")
    path = shards / "train-002.tar"
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(
        errors.DataError, match=r"became shorter.*train-002.tar/0011.png"
    ):
        source.__getitems__([11])
    path.unlink()
    with pytest.raises(
        errors.DataError, match=r"cannot be read any more: No such file"
    ):
        source.__getitems__([11])
