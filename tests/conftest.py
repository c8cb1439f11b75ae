"""Strict settings for every test: eight fake devices, no silent promotion."""

import contextlib
import ctypes
import gc
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


MEMORY_LIMIT = 2 << 30
"""Bytes of a test process above which compiled programs are dropped."""


@pytest.fixture(scope="module", autouse=True)
def _bounded_memory():
    """Drops compiled programs after a module, where the process has grown large."""
    yield
    statistics = pathlib.Path("/proc/self/statm")
    if not statistics.exists():
        return
    pages = int(statistics.read_text().split()[1])
    if pages * os.sysconf("SC_PAGE_SIZE") > MEMORY_LIMIT:
        jax.clear_caches()
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


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
