"""Strict settings for every test: eight fake devices, no silent promotion."""

import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
import pytest
from absl import flags

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
flags.FLAGS.mark_as_parsed()


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def standard_promotion():
    """For code that calls flax or optax where they mix types inside."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def make_mesh():
    """Returns a function that makes a mesh of the first n fake devices."""

    def make(num_devices):
        return jax.make_mesh(
            (num_devices,),
            ("data",),
            axis_types=(jax.sharding.AxisType.Auto,),
            devices=jax.devices()[:num_devices],
        )

    return make


@pytest.fixture(scope="session")
def data_dir():
    """Where the prepared TFDS sets lie; tests that want them skip where they do not."""
    root = os.environ.get("SIMCLR_DATA_DIR")
    if not root or not pathlib.Path(root, "tfds").is_dir():
        pytest.skip("SIMCLR_DATA_DIR does not name a folder with tfds/ in it")
    return str(pathlib.Path(root, "tfds"))


@pytest.fixture(scope="session")
def photos():
    """The bytes of the photographs, where there are any."""
    folder = pathlib.Path(os.environ.get("SIMCLR_DATA_DIR", ""), "photos")
    if not os.environ.get("SIMCLR_DATA_DIR") or not folder.is_dir():
        pytest.skip("SIMCLR_DATA_DIR does not name a folder with photos/ in it")
    return [path.read_bytes() for path in sorted(folder.iterdir())]
