import pickle

import cloudpickle
import image_bytes
import numpy as np
import pytest

from simclr_jax import data
from simclr_jax.core import errors
from simclr_jax.data.sources import arrays

pytestmark = pytest.mark.quick


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (12, 5, 4, 3), np.uint8)


def save(tmp_path, **named):
    np.savez_compressed(tmp_path / "set.npz", **named)
    return f"arrays:{tmp_path / 'set.npz'}"


@pytest.mark.parametrize("key", ["images", "image", "x", "data"])
@pytest.mark.parametrize("label_key", ["labels", "label", "y", "targets"])
def test_npz(tmp_path, images, key, label_key):
    labels = np.arange(12) % 5
    source = data.open_source(save(tmp_path, **{key: images, label_key: labels}))
    np.testing.assert_array_equal(source.images, images)
    np.testing.assert_array_equal(source.labels, labels)
    assert source.labels.dtype == np.int32
    assert (source.image_shape, source.num_classes) == ((5, 4, 3), 5)


def test_npz_keeps_the_protocol(tmp_path, images):
    image_bytes.check_source(data.open_source(save(tmp_path, x=images)))


def test_npz_without_labels(tmp_path, images):
    source = data.open_source(save(tmp_path, images=images, other=np.zeros(3)))
    assert source.num_classes is None
    assert source.labels.tolist() == [-1] * 12


@pytest.mark.parametrize("form", ["{}_{}", "{1}_{0}"])
@pytest.mark.parametrize(("x", "y"), [("x", "y"), ("images", "labels")])
def test_splits_of_an_npz(tmp_path, images, form, x, y):
    named = {}
    for split, count in (("train", 8), ("test", 3)):
        named[form.format(x, split)] = images[:count]
        # Two axes, as some sets have it.
        named[form.format(y, split)] = np.ones((count, 1), np.uint8)
    spec = save(tmp_path, **named)
    train, test = data.open_source(spec), data.open_source(spec, split="test")
    assert (len(train), len(test)) == (8, 3)
    assert test.labels.tolist() == [1, 1, 1]
    assert train.name != test.name
    with pytest.raises(
        errors.DataError, match=r"split 'val'.*Choices: test, train. The"
    ):
        data.open_source(spec, split="val")


def test_a_plain_npz_has_one_split(tmp_path, images):
    spec = save(tmp_path, x=images)
    with pytest.raises(errors.DataError, match=r"Unknown split 'test'.*Choices: train"):
        data.open_source(spec, split="test")


def test_labels_belong_to_the_same_split(tmp_path, images):
    spec = save(tmp_path, x_train=images, y=np.zeros(3, int))
    assert data.open_source(spec).num_classes is None


def test_npy_stays_on_disk(tmp_path, images):
    np.save(tmp_path / "x.npy", images)
    source = data.open_source(f"arrays:{tmp_path}/x.npy")
    assert isinstance(source.images, np.memmap)
    assert (len(source), source.num_classes) == (12, None)
    image_bytes.check_source(source)
    for dumps in (pickle.dumps, cloudpickle.dumps):
        assert len(dumps(source)) < 1000
        assert isinstance(pickle.loads(dumps(source)).images, np.memmap)


def test_one_file_per_split(tmp_path, images):
    np.save(tmp_path / "train.npy", images)
    np.save(tmp_path / "test.npy", images[:2])
    np.savez(tmp_path / "test.npz", x=images[:3])
    spec = f"arrays:{tmp_path}/{{split}}.npy"
    assert len(data.open_source(spec)) == 12
    assert len(data.open_source(spec, split="test")) == 2
    spec = f"arrays:{tmp_path}/{{split}}.npz"
    assert len(data.open_source(spec, split="test")) == 3
    with pytest.raises(errors.DataError, match=r"no file .*val.npz"):
        data.open_source(spec, split="val")
    with pytest.raises(errors.DataError, match=r"Unknown split 'test'.*Choices: train"):
        data.open_source(f"arrays:{tmp_path}/train.npy", split="test")


def test_images_without_a_channel_axis(tmp_path, images):
    np.save(tmp_path / "x.npy", images[..., 0])
    source = data.open_source(f"arrays:{tmp_path}/x.npy")
    assert source.image_shape == (5, 4, 1)
    image_bytes.check_source(source)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_converted_to_uint8(tmp_path, dtype):
    steps = np.arange(256, dtype=np.float64).reshape(-1, 1, 1, 1) / 255
    np.save(tmp_path / "x.npy", np.tile(steps, (9, 2, 2, 1)).astype(dtype))
    source = data.open_source(f"arrays:{tmp_path}/x.npy")
    assert source.images.dtype == np.uint8
    expected = np.tile(np.arange(256), 9)
    np.testing.assert_array_equal(source.images[:, 1, 1, 0], expected)


def test_name_depends_on_contents_not_location(tmp_path, images, monkeypatch):
    np.save(tmp_path / "x.npy", images)
    (tmp_path / "else").mkdir()
    np.save(tmp_path / "else" / "y.npy", images)
    first = data.open_source(f"arrays:{tmp_path}/x.npy").name
    assert first == data.open_source(f"arrays:{tmp_path}/else/y.npy").name
    monkeypatch.setenv("HOME", str(tmp_path))
    assert first == data.open_source("arrays:~/x.npy").name
    assert first.startswith("arrays:train@")
    assert len(first.partition("@")[2]) == 12
    images[3, 0, 0, 0] += 1
    np.save(tmp_path / "x.npy", images)
    assert first != data.open_source(f"arrays:{tmp_path}/x.npy").name


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 4, 4, 65), np.uint8), r"channels last, at most 64; got 65"),
        (np.zeros((2, 3, 4, 4), np.uint8), r"Channels come first.*\(0, 2, 3, 1\)"),
        (np.zeros((2, 1, 28, 28), np.uint8), r"Channels come first"),
        (np.zeros((0, 4, 4, 3), np.uint8), r"shape \[0, 4, 4, 3\].*at least one"),
        (np.zeros((2, 0, 4, 3), np.uint8), r"at least one"),
        (np.zeros((2, 4), np.uint8), r"shape \[2, 4\]; expected images of shape \[n h"),
        (np.zeros((2, 4, 4, 3), np.int64), r"dtype int64; expected uint8.*astype"),
        (np.zeros((2, 4, 4, 3), bool), r"dtype bool; expected uint8"),
        (
            np.full((2, 4, 4, 3), 255.0),
            r"values from 255 to 255; expected float in \[0",
        ),
        (np.full((2, 4, 4, 3), -0.5), r"values from -0.5 to -0.5"),
        (np.full((2, 4, 4, 3), np.nan), r"values from nan to nan"),
    ],
)
def test_rejects_arrays_that_are_no_images(tmp_path, array, message):
    with pytest.raises(errors.DataError, match=message):
        data.open_source(save(tmp_path, x=array))
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(errors.DataError, match=message):
        data.open_source(f"arrays:{tmp_path}/x.npy")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(11, int), r"shape \[11\]; expected one label for each of the 12"),
        (np.zeros((12, 5), int), r"shape \[12, 5\]; expected one label"),
        (np.full(12, 0.5), r"'y', holds 0.5; expected whole numbers from 0"),
        (np.full(12, 1j), r"dtype complex128; expected whole numbers"),
        (np.arange(12) - 2, r"values from -2 to 9; expected labels from 0"),
        (np.full(12, 2**40), r"values from 1099511627776"),
    ],
)
def test_rejects_arrays_that_are_no_labels(tmp_path, images, labels, message):
    with pytest.raises(errors.DataError, match=message):
        data.open_source(save(tmp_path, x=images, y=labels))


def test_any_number_of_channels(tmp_path, rng):
    pixels = rng.integers(0, 256, (3, 6, 6, 5), dtype=np.uint8)
    np.save(tmp_path / "x.npy", pixels)
    spec = f"arrays:{tmp_path}/x.npy"
    assert data.open_images(data.open_source(spec)).image_shape == (6, 6, 5)
    chosen = data.open_images(data.open_source(spec), channels=(4, 0))
    np.testing.assert_array_equal(chosen.read([2])["images"][0], pixels[2][..., [4, 0]])
    with pytest.raises(errors.UserError, match=r"from 0 to 4, .* 5 channels; got \(5,"):
        data.open_images(data.open_source(spec), channels=(5,))


@pytest.mark.parametrize("dtype", [np.uint16, np.int64, np.float32])
def test_a_range_converts_any_type_to_uint8(tmp_path, rng, dtype):
    values = rng.integers(100, 400, (3, 6, 6, 1)).astype(dtype)
    for spec in (save(tmp_path, x=values), save(tmp_path, x=values, y=np.arange(3))):
        source = data.open_source(spec, value_range="100:400")
        images = data.open_images(source, value_range="100:400")
        assert images is source  # not stretched again
        np.testing.assert_array_equal(
            source.images, np.rint((values - 100.0) * (255 / 300)).astype(np.uint8)
        )
    with pytest.raises(errors.DataError, match=r"data.range=LOW:HIGH"):
        data.open_source(spec)


def test_a_range_of_uint8_values(tmp_path, rng):
    np.save(tmp_path / "x.npy", rng.integers(10, 20, (3, 6, 6, 3), dtype=np.uint8))
    source = data.open_source(f"arrays:{tmp_path}/x.npy", value_range="image")
    assert source.images.max() < 20
    images = data.open_images(source, value_range="image").read([0, 1, 2])["images"]
    assert images.min(axis=(1, 2, 3)).tolist() == [0] * 3
    assert images.max(axis=(1, 2, 3)).tolist() == [255] * 3


def test_rejects_values_that_are_not_finite(tmp_path):
    spec = save(tmp_path, x=np.full((2, 4, 4), np.nan))
    with pytest.raises(errors.DataError, match=r"image 0, has pixels that are not fin"):
        data.open_source(spec, value_range="0:1")


def test_reads_labels_that_are_names(tmp_path, images):
    names = np.asarray(["dog", "cat", "owl"])
    arrays = {"x_train": images[:3], "y_train": names}
    spec = save(tmp_path, **arrays, x_test=images[3:6], y_test=names[[2, 2, 0]])
    for split, expected in (("train", [1, 0, 2]), ("test", [2, 2, 1])):
        source = data.open_source(spec, split=split)
        assert source.labels.tolist() == expected
        assert source.class_names == ("cat", "dog", "owl")
        assert source.num_classes == 3


def test_label_names_with_one_file_per_split(tmp_path, images):
    for split, names in (("train", ["b", "a"]), ("test", ["b", "b"])):
        np.savez(tmp_path / f"{split}.npz", x=images[:2], y=np.asarray(names))
    source = data.open_source(f"arrays:{tmp_path}/{{split}}.npz", split="test")
    assert source.labels.tolist() == [1, 1]


def test_images_without_a_label(tmp_path, images):
    values = np.asarray([1.0, np.nan, 0.0] * 4)
    source = data.open_source(save(tmp_path, x=images, y=values))
    assert source.labels.tolist() == [1, -1, 0] * 4
    assert source.num_classes == 2
    source = data.open_source(save(tmp_path, x=images, y=np.full(12, -1)))
    assert source.num_classes is None


def test_label_selects_the_array(tmp_path, images):
    arrays = {"x": images, "y": np.zeros(12, int), "fine": np.arange(12) % 7}
    spec = save(tmp_path, **arrays)
    assert data.open_source(spec, label="fine").num_classes == 7
    assert data.open_source(spec).num_classes == 1
    with pytest.raises(errors.DataError, match=r"no array 'coarse'.*holds fine, x, y"):
        data.open_source(spec, label="coarse")
    spec = save(tmp_path, x_test=images[:3], fine_test=np.asarray([0, 1, 4]))
    assert data.open_source(spec, split="test", label="fine").num_classes == 5
    np.save(tmp_path / "x.npy", images)
    with pytest.raises(errors.UserError, match=r"data.label='y'.*images alone"):
        data.open_source(f"arrays:{tmp_path}/x.npy", label="y")


def test_objects_are_not_unpickled(tmp_path, images):
    ragged = np.empty(2, object)
    ragged[:] = [images[0], images[1, :2]]
    np.save(tmp_path / "x.npy", ragged, allow_pickle=True)
    with pytest.raises(errors.DataError, match=r"cannot be read.*of several sizes"):
        data.open_source(f"arrays:{tmp_path}/x.npy")
    with pytest.raises(errors.DataError, match=r"'x', cannot be read.*allow_pickle"):
        data.open_source(save(tmp_path, x=ragged))
    (tmp_path / "x.npy").write_bytes(pickle.dumps(images))
    with pytest.raises(errors.DataError, match=r"cannot be read.*pickle"):
        data.open_source(f"arrays:{tmp_path}/x.npy")


def test_rejects_other_files(tmp_path, images):
    with pytest.raises(errors.DataError, match=r"no file '/nowhere.npz'"):
        data.open_source("arrays:/nowhere.npz")
    with pytest.raises(errors.DataError, match=r"no file .*Expected a .npy or .npz"):
        data.open_source(f"arrays:{tmp_path}")
    np.save(tmp_path / "x.npy", images)
    whole = (tmp_path / "x.npy").read_bytes()
    for part in (whole[:200], whole[:50], b""):
        (tmp_path / "x.npy").write_bytes(part)
        with pytest.raises(errors.DataError, match=r"cannot be read.*whole"):
            data.open_source(f"arrays:{tmp_path}/x.npy")
    spec = save(tmp_path, x=images)
    whole = (tmp_path / "set.npz").read_bytes()
    damaged = bytearray(whole)
    damaged[200] ^= 255
    for part in (whole[:200], bytes(damaged)):
        (tmp_path / "set.npz").write_bytes(part)
        with pytest.raises(errors.DataError, match=r"cannot be read"):
            data.open_source(spec)


def test_an_npz_without_images_lists_its_arrays(tmp_path):
    with pytest.raises(
        errors.DataError, match=r"no images: it holds foo, labels. Expected .*x_train"
    ):
        data.open_source(save(tmp_path, foo=np.zeros(3), labels=np.zeros(3)))


def test_uint8_is_not_copied():
    array = np.zeros((3, 4, 4), np.uint8)
    assert np.shares_memory(arrays.as_images("x", array), array)
