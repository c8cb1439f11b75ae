import image_bytes
import pytest

from simclr_jax.core import errors
from simclr_jax.data.sources import folder_walk

pytestmark = pytest.mark.quick


def test_images_and_other_files(tmp_path):
    image_bytes.write(tmp_path, ["a/1.PNG", "b.jpg"])
    (tmp_path / "a" / "notes.TXT").touch()
    (tmp_path / "a" / "README").touch()
    walk = folder_walk.Walk(str(tmp_path))
    walk.run()
    assert sorted(name for name, _ in walk.images) == ["a/1.PNG", "b.jpg"]
    assert walk.other_extensions == {".txt": 1, "no extension": 1}
    assert walk.left_out() == ""


def test_folders_directly_in_a_folder(tmp_path):
    image_bytes.write(tmp_path, ["b/1.png", "a/2.png", ".hidden/3.png", "4.png"])
    (tmp_path / "up").symlink_to("..", target_is_directory=True)
    (tmp_path / "self").symlink_to(".", target_is_directory=True)
    (tmp_path / "c").symlink_to("a", target_is_directory=True)
    assert folder_walk.folders_in(str(tmp_path)) == ["a", "b", "c"]
    assert folder_walk.has_images(str(tmp_path))
    assert folder_walk.has_images(str(tmp_path / "a"))


def test_a_link_reached_twice_is_not_circular(tmp_path):
    image_bytes.write(tmp_path, ["pool/x/1.png"])
    for name in ("one", "two"):
        (tmp_path / name).symlink_to("pool", target_is_directory=True)
    walk = folder_walk.Walk(str(tmp_path))
    walk.run()
    assert len(walk.images) == 3
    assert not walk.circular_links


def test_a_missing_folder_raises_an_error(tmp_path):
    with pytest.raises(errors.DataError, match=r"cannot be read: No such file"):
        folder_walk.entries_of(str(tmp_path / "nothing"))
