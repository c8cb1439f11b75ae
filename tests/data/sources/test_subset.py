import pickle

import numbered
import numpy as np
import pytest
from PIL import Image

from simclr_jax import data
from simclr_jax.core import errors
from simclr_jax.data.sources import base as sources
from simclr_jax.data.sources import opening, subset

pytestmark = pytest.mark.quick


def labels_of(source):
    return [record["label"] for record in source.__getitems__(range(len(source)))]


def write_classes(root, counts):
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.full((4, 5, 3), number, np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number:03d}.png")


def test_percentages_apply_to_every_class_folder(tmp_path):
    write_classes(tmp_path, {"cat": 10, "dog": 5, "eel": 20})
    first = data.open_source(f"folder:{tmp_path}", split="train[:80%]")
    rest = data.open_source(f"folder:{tmp_path}", split="train[80%:]")
    assert np.bincount(labels_of(first)).tolist() == [8, 4, 16]
    assert np.bincount(labels_of(rest)).tolist() == [2, 1, 4]
    titles = [s.title_of(i) for s in (first, rest) for i in range(len(s))]
    assert len(set(titles)) == 35
    assert first.name.endswith("[:80%]")
    assert first.name != rest.name
    assert first.num_classes == 3
    assert isinstance(first, data.Source)


def test_numbers_of_records_apply_to_the_whole_split(tmp_path):
    write_classes(tmp_path, {"cat": 3, "dog": 3})
    source = data.open_source(f"folder:{tmp_path}", split="train[1:4]")
    assert [source.title_of(i) for i in range(3)] == [
        "cat/001.png",
        "cat/002.png",
        "dog/000.png",
    ]
    assert source.labels.tolist() == [0, 0, 1]


def test_subsets_are_decoded_and_pickled_like_the_source(tmp_path):
    write_classes(tmp_path, {"cat": 4, "dog": 4})
    source = data.open_source(f"folder:{tmp_path}", split="train[50%:]")
    images = data.open_images(pickle.loads(pickle.dumps(source)), canvas=8)
    samples = images.read([0, 3])
    assert samples["labels"].tolist() == [0, 1]
    assert samples["images"][:, 0, 0, 0].tolist() == [2, 3]


@pytest.mark.parametrize("is_sorted", [True, False])
def test_arrays_stay_in_memory(rng, is_sorted, tmp_path):
    labels = rng.permutation(np.repeat(np.arange(5), 4))
    labels = np.sort(labels) if is_sorted else labels
    images = rng.integers(0, 256, (20, 4, 4, 1)).astype(np.uint8)
    np.savez(tmp_path / "x.npz", x=images, y=labels)
    spec = f"arrays:{tmp_path / 'x.npz'}"
    first = data.open_source(spec, split="train[:75%]")
    rest = data.open_source(spec, split="train[75%:]")
    assert type(first) is sources.ArraySource
    of_first = np.arange(20).reshape(5, 4)[:, :3].ravel() if is_sorted else slice(15)
    np.testing.assert_array_equal(first.images, images[of_first])
    np.testing.assert_array_equal(first.labels, labels[of_first])
    assert len(first) + len(rest) == 20


def test_mapped_arrays_are_not_sent_to_workers(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((100, 32, 32, 3), np.uint8))
    source = data.open_source(f"arrays:{tmp_path / 'x.npy'}", split="train[:50%]")
    assert len(source) == 50
    assert len(pickle.dumps(source)) < 5000


def test_sources_in_memory_and_of_any_kind():
    assert len(opening.open_source("mnist_sample", split="train[:10%]")) == 400
    source = opening.open_source("synthetic:4x4x1:50", split="test[:10%]")
    assert source.name == "synthetic:4x4x1:50:test[:10%]"
    assert len(source) == 5
    part = subset.take_range(numbered.Numbered(10), ("-30%", ""))
    assert labels_of(part) == [2, 3, 4]
    assert part.title_of(0) == "numbered/7.png"


def test_rejects_invalid_ranges():
    with pytest.raises(errors.DataError, match=r"no records in the range \[:0%\]"):
        opening.open_source("synthetic:4x4x1:50", split="test[:0%]")
    with pytest.raises(errors.DataError, match=r"Cannot read the split 'test\[80%\]'"):
        opening.open_source("synthetic:4x4x1:50", split="test[80%]")
    with pytest.raises(errors.DataError, match=r"Did you mean 'test'"):
        opening.open_source("synthetic:4x4x1:50", split="tset[:80%]")
