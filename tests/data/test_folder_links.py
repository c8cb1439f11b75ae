import image_bytes
import pytest

from simclr_jax import data
from simclr_jax.core import errors


def open_folder(root, *, split="train"):
    return data.open_source(f"folder:{root}", split=split)


def test_links_that_stay_inside_are_followed(tmp_path, caplog):
    root = image_bytes.write(tmp_path / "root", ["pool/1.png", "pool/2.png"])
    (root / "cat").mkdir()
    (root / "cat" / "one.png").symlink_to("../pool/1.png")
    (root / "dog").symlink_to("pool", target_is_directory=True)
    source = open_folder(root)
    assert source.paths == (
        "cat/one.png",
        "dog/1.png",
        "dog/2.png",
        "pool/1.png",
        "pool/2.png",
    )
    assert image_bytes.labels(source) == [0, 1, 1, 2, 2]
    assert image_bytes.values(source) == [0, 0, 1, 0, 1]
    assert not caplog.text


def test_links_to_images_elsewhere_are_followed(tmp_path, caplog):
    image_bytes.write(tmp_path, ["outside/1.png", "root-2/3.png", "root/a/2.png"])
    root = tmp_path / "root"
    (root / "a" / "file.png").symlink_to(tmp_path / "outside/1.png")
    (root / "a" / "near.png").symlink_to("../../root-2/3.png")
    (root / "b").symlink_to(tmp_path / "outside", target_is_directory=True)
    (tmp_path / "outside" / "more").symlink_to(tmp_path / "root-2")
    source = open_folder(root)
    assert source.paths == (
        "a/2.png",
        "a/file.png",
        "a/near.png",
        "b/1.png",
        "b/more/3.png",
    )
    assert image_bytes.values(source) == [2, 0, 1, 0, 1]
    assert source.class_names == ("a", "b")
    assert not caplog.text


def test_broken_links_are_logged(tmp_path, caplog):
    root = image_bytes.write(tmp_path / "root", ["a/2.png"])
    for number in range(7):
        (root / "a" / f"broken{number}.png").symlink_to("nothing.png")
    (root / "a" / "self").symlink_to("self")
    assert open_folder(root).paths == ("a/2.png",)
    assert "8 symbolic links are broken (a/broken0.png, a/broken1.png" in caplog.text
    assert "a/broken4.png, ...); they are skipped" in caplog.text


def test_circular_links_terminate(tmp_path, caplog):
    root = image_bytes.write(tmp_path, ["a/1.png", "b/c/2.png"])
    (root / "a" / "up").symlink_to("..", target_is_directory=True)
    (root / "a" / "self").symlink_to(".", target_is_directory=True)
    (root / "a" / "to_b").symlink_to("../b", target_is_directory=True)
    (root / "b" / "to_a").symlink_to("../a", target_is_directory=True)
    source = open_folder(root)
    assert source.paths == (
        "a/1.png",
        "a/to_b/c/2.png",
        "b/c/2.png",
        "b/to_a/1.png",
    )
    assert "circular: they lead to a folder above them (a/self, a/to_b/to_a" in (
        caplog.text
    )


def test_a_root_that_is_a_link(tmp_path):
    image_bytes.write(tmp_path, ["stored/a/1.png"])
    (tmp_path / "link").symlink_to("stored", target_is_directory=True)
    assert open_folder(tmp_path / "link").paths == ("a/1.png",)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train").symlink_to("../stored", target_is_directory=True)
    assert open_folder(tmp_path / "set").paths == ("a/1.png",)


def test_a_folder_of_links_only(tmp_path):
    image_bytes.write(tmp_path, ["outside/1.png"])
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "1.png").symlink_to(tmp_path / "outside/1.png")
    assert open_folder(tmp_path / "root").paths == ("1.png",)
    (tmp_path / "outside" / "1.png").unlink()
    with pytest.raises(
        errors.DataError, match=r"no images.* 1 symbolic links are broken \(1.png\)"
    ):
        open_folder(tmp_path / "root")
