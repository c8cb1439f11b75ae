import dataclasses

import jax
import numbered
import numpy as np
import pytest

from simclr_jax import data
from simclr_jax.core import errors, types
from simclr_jax.data import prefetch

pytestmark = pytest.mark.quick


def batches(mesh, *, resident_bytes=1 << 20):
    source = data.open_source("synthetic:4x4x1:37")
    order = data.BatchOrder(len(source), 8, 11, seed=3)
    return source, data.Batches(source, order, mesh, resident_bytes=resident_bytes)


@pytest.mark.parametrize("resident_bytes", [0, 1 << 20])
@pytest.mark.parametrize("num_devices", [1, 8])
def test_batches_follow_the_order(make_mesh, num_devices, resident_bytes):
    source, made = batches(make_mesh(num_devices), resident_bytes=resident_bytes)
    assert made.is_resident == (resident_bytes > 0)
    got = list(made.start_at(0))
    assert len(got) == 11
    for step, batch in enumerate(got):
        expected = source.images[made.order[step]]
        np.testing.assert_array_equal(batch["image"], expected)
        assert len(batch["image"].sharding.device_set) == num_devices
        assert batch["image"].addressable_shards[0].data.shape[0] == 8 // num_devices


def test_cpu_devices_share_one_memory(make_mesh):
    source, one = batches(make_mesh(1), resident_bytes=600)
    _, many = batches(make_mesh(8), resident_bytes=600)
    assert source.images.nbytes == 592
    assert one.is_decoded_once and one.is_resident
    assert many.is_decoded_once and not many.is_resident
    for a, b in zip(one.start_at(0), many.start_at(0), strict=True):
        np.testing.assert_array_equal(a["image"], b["image"])


@pytest.mark.parametrize("resident_bytes", [0, 1 << 20])
def test_starting_later_yields_the_same_batches(make_mesh, resident_bytes):
    _, made = batches(make_mesh(1), resident_bytes=resident_bytes)
    whole = [np.asarray(batch["image"]) for batch in made.start_at(0)]
    later = [np.asarray(batch["image"]) for batch in made.start_at(7)]
    np.testing.assert_array_equal(whole[7:], later)


@pytest.mark.parametrize("resident_bytes", [0, 1 << 20])
def test_makes_no_implicit_transfers(make_mesh, resident_bytes):
    _, made = batches(make_mesh(8), resident_bytes=resident_bytes)
    with jax.transfer_guard("disallow"):
        assert len(list(made.start_at(0))) == 11


@pytest.mark.parametrize("resident_bytes", [0, 1 << 20])
def test_images_of_many_sizes_come_with_their_sizes(make_mesh, resident_bytes):
    source = numbered.Numbered(37, corrupt=(5,))
    order = data.BatchOrder(37, 8, 9, seed=3)
    images = data.open_images(source, canvas=8)
    made = data.Batches(images, order, make_mesh(8), resident_bytes=resident_bytes)
    for step, batch in enumerate(made.start_at(0)):
        assert isinstance(batch["image"], types.PaddedImages)
        expected = images.read(order[step])
        np.testing.assert_array_equal(batch["image"].pixels, expected["images"])
        np.testing.assert_array_equal(batch["image"].size, expected["sizes"])
        assert made.corrupt_images.take_count() == np.count_nonzero(order[step] == 5)
    assert step == 8


def test_to_devices_uses_the_default_device():
    images = data.open_images(numbered.Numbered(4), canvas=8)
    canvas = data.to_devices(images.read([0, 3]), is_padded=True)
    assert isinstance(canvas, types.PaddedImages)
    np.testing.assert_array_equal(canvas.size, [(4, 4), (4, 7)])
    flat = data.to_devices(images.read([0, 3]), is_padded=False)
    np.testing.assert_array_equal(flat, canvas.pixels)


NAMES = ("image", "label", "text")


@pytest.mark.parametrize(
    ("resident_bytes", "num_workers"), [(1 << 20, 0), (0, 0), (0, 2)]
)
def test_every_requested_field_reaches_the_devices(
    make_mesh, resident_bytes, num_workers, monkeypatch
):
    monkeypatch.setattr(prefetch, "PIECE_BYTES", 3 * 8 * 8 * 3)  # 3 pieces a batch
    images = data.open_images(numbered.Worded(37, corrupt=(5,)), canvas=8)
    order = data.BatchOrder(37, 8, 5, seed=3)
    made = data.Batches(
        images,
        order,
        make_mesh(8),
        fields=NAMES,
        resident_bytes=resident_bytes,
        num_workers=num_workers,
    )
    assert 5 in np.concatenate([order[step] for step in range(5)])
    with jax.transfer_guard("disallow"):
        batches = list(made.start_at(0))
    for step, batch in enumerate(batches):
        assert tuple(batch) == NAMES
        shown = np.where(order[step] == 5, 6, order[step])
        np.testing.assert_array_equal(batch["image"].pixels[:, 0, 0, 0], shown)
        np.testing.assert_array_equal(batch["label"], shown % 5)
        expected = [numbered.text_of(index) for index in shown]
        np.testing.assert_array_equal(batch["text"], expected)
        check_spec(batch, made.spec, batch_size=8)
        assert len(batch["label"].sharding.device_set) == 8


def check_spec(batch, spec, *, batch_size):
    assert jax.tree.structure(batch) == jax.tree.structure(spec)
    for field, array in zip(jax.tree.leaves(spec), jax.tree.leaves(batch), strict=True):
        assert (array.shape, array.dtype) == ((batch_size, *field.shape), field.dtype)


@pytest.mark.parametrize("resident_bytes", [0, 1 << 20])
def test_batches_may_hold_only_labels(make_mesh, resident_bytes):
    source = data.open_source("synthetic:4x4x1:37")
    order = data.BatchOrder(37, 8, 2, seed=3)
    made = data.Batches(
        source, order, make_mesh(1), resident_bytes=resident_bytes, fields=("label",)
    )
    for step, batch in enumerate(made.start_at(0)):
        np.testing.assert_array_equal(batch["label"], source.labels[order[step]])
        check_spec(batch, made.spec, batch_size=8)


def test_rejects_a_source_without_labels(make_mesh):
    images = data.open_images(numbered.Numbered(37, num_classes=None), canvas=8)
    order = data.BatchOrder(37, 8, 2, seed=3)
    with pytest.raises(errors.DataError, match=r"numbered has no field 'label'"):
        data.Batches(images, order, make_mesh(1), fields=("image", "label"))


def test_fingerprint_depends_on_the_requested_fields(make_mesh):
    source, made = batches(make_mesh(1))
    assert made.fingerprint == {
        "name": source.name,
        "num_images": 37,
        "image_shape": [4, 4, 1],
    }
    labeled = dataclasses.replace(made, fields=("image", "label"))
    other = dataclasses.replace(source, labels=source.labels[::-1])
    changed = dataclasses.replace(labeled, images=other)
    assert list(labeled.fingerprint["fields"]) == ["label"]
    assert changed.fingerprint != labeled.fingerprint
    assert dataclasses.replace(made, images=other).fingerprint == made.fingerprint


def test_batch_spec_needs_no_data():
    spec = data.batch_spec(("image", "label"), image_shape=(8, 9, 3), is_padded=True)
    assert spec == {
        "image": types.PaddedImages(
            types.Field((8, 9, 3), "uint8"), types.Field((2,), "int32")
        ),
        "label": types.Field((), "int32"),
    }
    with pytest.raises(errors.UserError, match=r"'text' is not described; .*label"):
        data.batch_spec(("text",), image_shape=(8, 9, 3), is_padded=False)
