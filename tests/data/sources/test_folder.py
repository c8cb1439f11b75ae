import logging
import os
import random
import time

import image_bytes
import numpy as np
import pytest

from simclr_jax import data
from simclr_jax.core import errors
from simclr_jax.data.sources import folder

PNG = image_bytes.encode(7)


def open_folder(root, *, split="train"):
    return data.open_source(f"folder:{root}", split=split)


def test_flat_folder_of_every_kind_of_image(tmp_path):
    forms = {
        "JPEG": ("a.jpg", "b.JPEG", "c.jpeg", "n02110341_dog.JPG"),
        "PNG": ("d.png",),
        "WEBP": ("e.webp",),
        "BMP": ("f.bmp",),
        "TIFF": ("g.tif", "h.TIFF"),
        "GIF": ("i.gif",),
    }
    for form, names in forms.items():
        for name in names:
            (tmp_path / name).write_bytes(image_bytes.encode(9, form=form))
    (tmp_path / "notes.txt").write_text("not an image")
    source = open_folder(tmp_path)
    names = sorted(name for group in forms.values() for name in group)
    assert [source.title_of(i) for i in range(len(source))] == names
    assert (source.image_shape, source.num_classes) == (None, None)
    assert image_bytes.labels(source) == [-1] * 10
    first = source.__getitems__([0])[0]["image"]
    assert first == (tmp_path / "a.jpg").read_bytes()
    image_bytes.check_source(source)


def test_one_folder_per_class(tmp_path):
    image_bytes.write(
        tmp_path, ["dog/2.png", "cat/deep/er/1.png", "dog/1.png", "ant/x.png"]
    )
    source = open_folder(tmp_path)
    assert source.num_classes == 3
    assert source.paths == ("ant/x.png", "cat/deep/er/1.png", "dog/1.png", "dog/2.png")
    assert image_bytes.labels(source) == [0, 1, 2, 2]
    assert image_bytes.values(source) == [3, 1, 2, 0]
    image_bytes.check_source(source)


def test_classes_have_the_names_of_their_folders(tmp_path):
    image_bytes.write(
        tmp_path, ["train/dog/2.png", "train/cat/1.png", "test/dog/3.png"]
    )
    for split in ("train", "test"):
        assert open_folder(tmp_path, split=split).class_names == ("cat", "dog")
    assert data.open_images(open_folder(tmp_path)).class_names == ("cat", "dog")
    assert open_folder(tmp_path / "train" / "dog").class_names is None


@pytest.mark.parametrize("wrapper", ["photos", "a/b"])
def test_descends_into_a_wrapper_folder(tmp_path, caplog, wrapper):
    image_bytes.write(tmp_path / wrapper, ["cat/1.png", "dog/x/2.png"])
    (tmp_path / "README.txt").touch()
    with caplog.at_level(logging.INFO):
        source = open_folder(tmp_path)
    assert source.class_names == ("cat", "dog")
    assert image_bytes.labels(source) == [0, 1]
    assert f"contains only the folder {wrapper!r}" in caplog.text


def test_a_wrapper_around_the_splits(tmp_path):
    inner = ["train/cat/1.png", "train/dog/2.png", "test/dog/deep/3.png"]
    image_bytes.write(tmp_path / "set", inner)
    assert open_folder(tmp_path).paths == ("cat/1.png", "dog/2.png")
    test = open_folder(tmp_path, split="test")
    # The one class of the test images is no wrapper.
    assert (test.paths, test.class_names) == (("dog/deep/3.png",), ("cat", "dog"))


def test_a_wrapper_in_every_split(tmp_path):
    image_bytes.write(tmp_path, ["train/w/cat/1.png", "train/w/dog/2.png"])
    image_bytes.write(tmp_path, ["test/v/dog/3.png", "test/v/cat/3.png"])
    assert open_folder(tmp_path).class_names == ("cat", "dog")
    assert open_folder(tmp_path, split="test").class_names == ("cat", "dog")


def test_one_folder_of_images_is_one_class(tmp_path):
    source = open_folder(image_bytes.write(tmp_path, ["cat/1.png", "cat/2.png"]))
    assert (source.num_classes, source.class_names) == (1, ("cat",))


def test_an_image_outside_the_folders_means_no_classes(tmp_path):
    source = open_folder(
        image_bytes.write(tmp_path, ["dog/1.png", "0.png", "cat/a/2.png"])
    )
    assert source.num_classes is None
    assert image_bytes.labels(source) == [-1] * 3
    assert source.paths == ("0.png", "cat/a/2.png", "dog/1.png")


def test_hidden_files_are_skipped(tmp_path):
    hidden = [".x.png", "._a.png", ".git/a.png", "__MACOSX/a.png", "a/._b.png"]
    source = open_folder(image_bytes.write(tmp_path, [*hidden, "a/b.png"]))
    assert source.paths == ("a/b.png",)
    assert source.num_classes == 1


def test_names_outside_ascii(tmp_path):
    names = ["Größe/ä b.png", "猫/1.png"]
    image_bytes.write(tmp_path, names)
    broken = os.fsencode(tmp_path) + b"/x/\xff.png"
    os.mkdir(os.path.dirname(broken))
    with open(broken, "wb") as file:
        file.write(PNG)
    source = open_folder(tmp_path)
    titles = [source.title_of(i) for i in range(3)]
    assert sorted([*names, "x/\\xff.png"]) == titles
    "".join(titles).encode()
    image_bytes.check_source(source)


def test_order_and_name_do_not_depend_on_the_file_system(tmp_path, monkeypatch):
    names = [f"{c}/{i}/{j}.png" for c in "ab" for i in range(3) for j in range(3)]
    first = open_folder(image_bytes.write(tmp_path / "here", names))
    image_bytes.write(tmp_path / "else" / "where", names)

    class Shuffled:
        """The entries of a folder in an order of their own."""

        def __init__(self, entries):
            self.entries = entries

        def __enter__(self):
            listed = list(self.entries)
            random.shuffle(listed)
            return iter(listed)

        def __exit__(self, *unused):
            self.entries.close()

    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: Shuffled(scan(path)))
    for _ in range(5):
        again = open_folder(tmp_path / "else" / "where")
        assert again.paths == first.paths
        assert again.labels.tolist() == first.labels.tolist()
        assert again.name == first.name
    assert first.name.startswith("folder:train@")
    assert len(first.name.partition("@")[2]) == 12
    assert str(tmp_path) not in first.name


def test_name_depends_on_contents(tmp_path):
    root = image_bytes.write(tmp_path, ["a/1.png", "b/2.png"])
    names = {open_folder(root).name}
    (root / "a/1.png").write_bytes(image_bytes.encode(1, side=64))
    names.add(open_folder(root).name)
    (root / "a/1.png").rename(root / "a/3.png")
    names.add(open_folder(root).name)
    (root / "a/3.png").unlink()
    names.add(open_folder(root).name)
    assert len(names) == 4


def test_splits_are_subfolders(tmp_path):
    image_bytes.write(
        tmp_path, ["train/a/1.png", "train/b/2.png", "test/a/3.png", "val/b/4.png"]
    )
    assert open_folder(tmp_path).paths == ("a/1.png", "b/2.png")
    assert open_folder(tmp_path, split="test").paths == ("a/3.png",)
    validation = open_folder(tmp_path, split="val")
    # Class b is class 1 there too, although there is no class a.
    assert image_bytes.labels(validation) == [1]
    assert validation.num_classes == 2
    assert validation.name.startswith("folder:val@")


def test_rejects_classes_that_train_does_not_have(tmp_path):
    image_bytes.write(tmp_path, ["train/a/1.png", "test/a/3.png", "test/zebra/4.png"])
    with pytest.raises(errors.DataError, match=r"not have: zebra. The classes of both"):
        open_folder(tmp_path, split="test")
    assert open_folder(tmp_path / "test").num_classes == 2


def test_classes_of_a_split_whose_train_has_none(tmp_path):
    image_bytes.write(tmp_path, ["train/1.png", "test/a/3.png", "test/b/4.png"])
    assert open_folder(tmp_path).num_classes is None
    assert image_bytes.labels(open_folder(tmp_path, split="test")) == [0, 1]


@pytest.mark.parametrize("split", ["test", "Train", "../train", "."])
def test_unknown_split(tmp_path, split):
    image_bytes.write(tmp_path, ["train/1.png", "val/3.png"])
    with pytest.raises(
        errors.DataError,
        match=r"Unknown split .*Subfolders: train, val. Lay the images",
    ):
        open_folder(tmp_path, split=split)


def test_warns_of_test_images_in_train(tmp_path, caplog):
    image_bytes.write(tmp_path, ["a/1.png", "test/2.png"])
    assert len(open_folder(tmp_path)) == 2
    assert "a subfolder 'test' but none named 'train'" in caplog.text


def test_one_image(tmp_path):
    assert len(open_folder(image_bytes.write(tmp_path, ["1.png"]))) == 1


def test_home_folder(tmp_path, monkeypatch):
    image_bytes.write(tmp_path, ["photos/1.png"])
    monkeypatch.setenv("HOME", str(tmp_path))
    source = open_folder("~/photos")
    monkeypatch.chdir(tmp_path)
    assert source.name == open_folder("photos").name
    monkeypatch.chdir("/")
    assert image_bytes.values(source) == [0]


def test_rejects_what_is_not_a_folder_of_images(tmp_path):
    with pytest.raises(
        errors.DataError, match=r"no folder '/nowhere/photos'.*Expected"
    ):
        open_folder("/nowhere/photos")
    (tmp_path / "x.npz").touch()
    with pytest.raises(
        errors.DataError, match=r"is a file; expected a folder.*arrays:"
    ):
        open_folder(tmp_path / "x.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.DataError, match=r"no images in.*Files found: none"):
        open_folder(tmp_path / "empty")
    (tmp_path / "A.HEIC").touch()
    (tmp_path / "empty" / "b.heic").touch()
    (tmp_path / "README").touch()
    with pytest.raises(
        errors.DataError,
        match=r"found: .heic \(2\), .npz \(1\), no extension \(1\).*are: .jpg, .jpeg",
    ):
        open_folder(tmp_path)


def test_raises_an_error_for_unreadable_files(tmp_path, monkeypatch):
    source = open_folder(image_bytes.write(tmp_path, ["1.png", "2.png"]))
    (tmp_path / "1.png").unlink()
    with pytest.raises(errors.DataError, match=r"1.png' was found when.*No such file"):
        source.__getitems__([0])

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(errors.DataError, match=r"cannot be read: Permission denied"):
        open_folder(tmp_path)


def test_thousands_of_files_open_fast(tmp_path):
    for number in range(10):
        (tmp_path / f"{number}").mkdir()
    for number in range(5000):
        os.close(os.open(tmp_path / f"{number % 10}/{number}.png", os.O_CREAT))
    start = time.process_time()
    assert len(folder.open_folder(str(tmp_path), split="train")) == 5000
    # A tenth of the files in a tenth of two seconds, on a slow machine.
    assert time.process_time() - start < 0.5


def test_labels_are_numbers(tmp_path):
    source = open_folder(image_bytes.write(tmp_path, ["a/1.png", "b/2.png"]))
    record = source.__getitems__(np.asarray([1]))[0]
    assert type(record["label"]) is int
    assert type(record["image"]) is bytes
