import os
import subprocess
import sys

import jax
import pytest

from simclr_jax import aot
from simclr_jax.aot import topology
from simclr_jax.core import errors


@pytest.fixture
def libtpu():
    pytest.importorskip("libtpu")
    aot.forget_devices()


@pytest.mark.usefixtures("libtpu")
@pytest.mark.parametrize(
    ("name", "shape", "kind"),
    [
        ("v4:2x2x1", (2, 2, 1), "TPU v4"),
        ("v5e:2x4", (2, 4), "TPU v5 lite"),
        ("v5e:16x16", (16, 16), "TPU v5 lite"),
        ("v5p:2x2x2", (2, 2, 2), "TPU v5"),
        ("v6e:8x16", (8, 16), "TPU v6 lite"),
    ],
)
def test_a_chip_is_a_device(name, shape, kind):
    where = aot.describe(name)
    assert where.shape == shape
    assert where.num_chips == int(jax.numpy.prod(jax.numpy.asarray(shape)))
    assert where.mesh.axis_names == ("data",)
    device = where.mesh.devices.flat[0]
    assert (device.platform, device.device_kind) == ("tpu", kind)
    assert device not in jax.devices()


@pytest.mark.parametrize(
    ("name", "shape", "wraps"),
    [
        ("v5e", (16, 16), (True, True)),
        ("v5e", (8, 16), (False, True)),
        ("v5e", (4, 8), (False, False)),
        ("v5p", (4, 4, 8), (True, True, True)),
        ("v5p", (2, 4, 4), (False, False, False)),
    ],
)
def test_finds_the_axes_that_are_rings(name, shape, wraps):
    mesh = jax.sharding.Mesh(jax.devices()[:1], ("data",))
    assert topology.Topology("", aot.CHIPS[name], shape, mesh).wraps == wraps


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v9:2x2", r"Unknown chip of a topology 'v9'.*Choices: v4, v5e, v5p, v6e"),
        ("v5e", r"not of the form AxB.*Expected e.g. v4:4x4x4, v5e:16x16"),
        ("v5e:0x2", r"not of the form AxB"),
        ("v5p:2x2", r"a v5p has a grid of 3 axes"),
        ("v5e:32x32", r"a pod of v5e has at most 256 chips"),
    ],
)
def test_rejects_unknown_topologies(name, message):
    with pytest.raises(errors.UserError, match=message):
        aot.describe(name)


@pytest.mark.usefixtures("libtpu")
def test_reports_what_libtpu_rejects():
    with pytest.raises(errors.UserError, match=r"'v5e:3x3'.*not divisible.*v5e:2x4"):
        aot.describe("v5e:3x3")


def test_error_without_libtpu_names_the_remedy(monkeypatch):
    monkeypatch.setattr(topology.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(errors.UserError, match=r'pip install "simclr_jax\[aot\]"'):
        aot.describe("v5e:2x2")


@pytest.mark.usefixtures("libtpu")
def test_two_processes_may_compile_at_a_time():
    aot.describe("v5e:2x2")  # this process has the library now
    code = (
        "from simclr_jax import aot; aot.forget_devices();"
        "print(aot.describe('v5e:2x2').num_chips)"
    )
    # As a user starts it: without the variables that this process has set.
    mine = ("TPU_", "ALLOW_MULTIPLE_LIBTPU_LOAD", "JAX_PLATFORMS")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={k: v for k, v in os.environ.items() if not k.startswith(mine)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "4\n", done.stderr
    assert done.stderr == ""
