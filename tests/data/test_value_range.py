import numpy as np
import pytest

from simclr_jax.core import errors
from simclr_jax.data import value_range

pytestmark = pytest.mark.quick


def test_every_form_of_an_option():
    for name in ("full", "image", "percentiles"):
        assert value_range.parse(name) == name
    assert value_range.parse("0:4095") == (0.0, 4095.0)
    assert value_range.parse("-1000:3e3") == (-1000.0, 3000.0)
    assert value_range.parse((0.5, 2)) == (0.5, 2.0)


@pytest.mark.parametrize("option", ["fixed", "5", "5:5", "9:1", "0:inf", "1:2:3", ""])
def test_what_is_no_range(option):
    with pytest.raises(errors.UserError, match=r"data.range must be full, image, perc"):
        value_range.parse(option)


def test_full_is_the_range_of_the_type():
    deep = np.asarray([0, 257, 65535], np.uint16)
    assert value_range.to_bytes(deep).tolist() == [0, 1, 255]
    assert value_range.to_bytes(np.asarray([0.0, 0.5, 1.0])).tolist() == [0, 128, 255]
    byte = np.arange(3, dtype=np.uint8)
    assert value_range.to_bytes(byte) is byte
    with pytest.raises(ValueError, match=r"pixels in \[-5, 0\], .*data.range gives"):
        value_range.to_bytes(np.asarray([-5, 0]))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_a_fixed_range_is_clipped(dtype):
    values = np.asarray([[0, 100], [150, 200]], dtype)
    stretched = value_range.to_bytes(values, (100.0, 151.0))
    assert stretched.dtype == np.uint8
    assert stretched.tolist() == [[0, 0], [250, 255]]


def test_the_range_of_each_image(rng):
    values = rng.integers(300, 400, (50, 40)).astype(np.uint16)
    stretched = value_range.to_bytes(values, "image")
    assert (stretched.min(), stretched.max()) == (0, 255)
    values[0, 0] = 60_000  # a hot pixel
    assert np.median(value_range.to_bytes(values, "image")) == 0
    assert 100 < np.median(value_range.to_bytes(values, "percentiles")) < 155


def test_extremes():
    constant = np.full((3, 3), 7, np.uint16)
    assert value_range.to_bytes(constant, "image").tolist() == [[0] * 3] * 3
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="not finite"):
            value_range.to_bytes(np.asarray([0.0, bad]), "image")
