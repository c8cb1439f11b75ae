import jax
import numbered
import numpy as np
import pytest

from simclr_jax import data
from simclr_jax.core import types

pytestmark = pytest.mark.quick


def batches(mesh, *, resident_bytes=1 << 20):
    source = data.open_source("synthetic:4x4x1:37")
    order = data.BatchOrder(len(source), 8, 11, seed=3)
    return source, data.Batches(source, order, mesh, resident_bytes=resident_bytes)


@pytest.mark.parametrize("resident_bytes", [0, 1 << 20])
@pytest.mark.parametrize("num_devices", [1, 8])
def test_batches_are_those_of_the_order(make_mesh, num_devices, resident_bytes):
    source, made = batches(make_mesh(num_devices), resident_bytes=resident_bytes)
    assert made.is_resident == (resident_bytes > 0)
    got = list(made.start_at(0))
    assert len(got) == 11
    for step, batch in enumerate(got):
        expected = source.images[made.order[step]]
        np.testing.assert_array_equal(batch["image"], expected)
        assert len(batch["image"].sharding.device_set) == num_devices
        assert batch["image"].addressable_shards[0].data.shape[0] == 8 // num_devices


def test_the_devices_of_a_cpu_share_one_memory(make_mesh):
    source, one = batches(make_mesh(1), resident_bytes=600)
    _, many = batches(make_mesh(8), resident_bytes=600)
    assert source.images.nbytes == 592
    assert one.is_decoded_once and one.is_resident
    assert many.is_decoded_once and not many.is_resident
    for a, b in zip(one.start_at(0), many.start_at(0), strict=True):
        np.testing.assert_array_equal(a["image"], b["image"])


@pytest.mark.parametrize("resident_bytes", [0, 1 << 20])
def test_starting_later_gives_the_same_batches(make_mesh, resident_bytes):
    _, made = batches(make_mesh(1), resident_bytes=resident_bytes)
    whole = [np.asarray(batch["image"]) for batch in made.start_at(0)]
    later = [np.asarray(batch["image"]) for batch in made.start_at(7)]
    np.testing.assert_array_equal(whole[7:], later)


@pytest.mark.parametrize("resident_bytes", [0, 1 << 20])
def test_nothing_is_transferred_by_accident(make_mesh, resident_bytes):
    _, made = batches(make_mesh(8), resident_bytes=resident_bytes)
    with jax.transfer_guard("disallow"):
        assert len(list(made.start_at(0))) == 11


@pytest.mark.parametrize("resident_bytes", [0, 1 << 20])
def test_images_of_many_sizes_travel_with_their_sizes(make_mesh, resident_bytes):
    source = numbered.Numbered(37, bad=(5,))
    order = data.BatchOrder(37, 8, 9, seed=3)
    images = data.open_images(source, canvas=8)
    made = data.Batches(images, order, make_mesh(8), resident_bytes=resident_bytes)
    for step, batch in enumerate(made.start_at(0)):
        assert isinstance(batch["image"], types.Canvas)
        expected = images.read(order[step])
        np.testing.assert_array_equal(batch["image"].pixels, expected["images"])
        np.testing.assert_array_equal(batch["image"].size, expected["sizes"])
        assert made.bad_images.take_count() == np.count_nonzero(order[step] == 5)
    assert step == 8


def test_samples_on_the_default_device():
    images = data.open_images(numbered.Numbered(4), canvas=8)
    canvas = data.to_devices(images.read([0, 3]), is_canvas=True)
    assert isinstance(canvas, types.Canvas)
    np.testing.assert_array_equal(canvas.size, [(4, 4), (4, 7)])
    flat = data.to_devices(images.read([0, 3]), is_canvas=False)
    np.testing.assert_array_equal(flat, canvas.pixels)
