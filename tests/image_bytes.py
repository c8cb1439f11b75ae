"""Small image files, and what every source must stand."""

import concurrent.futures
import io
import pickle

import cloudpickle
import numpy as np
from PIL import Image

from simclr_jax import data


def encode(value, *, side=4, form="PNG"):
    """Returns the bytes of a square image of one gray value."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (value, value, value)).save(buffer, form)
    return buffer.getvalue()


def decode(encoded):
    """Returns the value of the first pixel."""
    return int(np.asarray(Image.open(io.BytesIO(encoded)))[0, 0, 0])


def write(root, names):
    """Writes image files; each has a value of its own, its place in the list."""
    for value, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(value))
    return root


def values(source):
    """Returns the value of every image."""
    return [decode(r["image"]) for r in source.__getitems__(range(len(source)))]


def labels(source):
    return [r["label"] for r in source.__getitems__(range(len(source)))]


def check_source(source):
    """Checks the protocol, copies for other processes, threads that read at once."""
    assert isinstance(source, data.Source)
    assert source.__getitems__([]) == []
    assert source.title_of(0)
    numbers = [int(n) for n in np.random.default_rng(0).integers(0, len(source), 50)]
    expected = contents(source, numbers)
    for dumps in (pickle.dumps, cloudpickle.dumps):
        copy = pickle.loads(dumps(source))
        assert contents(copy, np.asarray(numbers)) == expected
        for name in ("name", "image_shape", "num_classes"):
            assert getattr(copy, name) == getattr(source, name)
        assert copy.title_of(0) == source.title_of(0)
    fresh = pickle.loads(pickle.dumps(source))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda n: contents(fresh, [n]), numbers))
    assert [record for part in parts for record in part] == expected


def contents(source, numbers):
    return [(bytes(r["image"]), r["label"]) for r in source.__getitems__(numbers)]
