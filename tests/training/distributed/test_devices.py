import os
import subprocess
import sys

import pytest

from simclr_jax.training.distributed import devices


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "limit", "expected"),
    [
        (128, 1, 2, 2),
        (128, 1, 6, 4),
        (127, 1, 4, 1),
        (48, 4, 8, 6),
        (10, 3, 4, 1),
        (None, 1, 6, 6),
        (-1, 1, 2, 2),
    ],
)
def test_finds_the_largest_number_that_divides_the_batch(
    batch_size, accumulate, limit, expected
):
    found = devices.largest_divisor(batch_size, accumulate=accumulate, limit=limit)
    assert found == expected


@pytest.fixture
def four_cores_of_two_threads(tmp_path, monkeypatch):
    for cpu in range(8):
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text("0\n")
        (topology / "core_id").write_text(f"{cpu % 4}\n")
    monkeypatch.setattr(devices, "_CPUS", tmp_path)
    monkeypatch.setattr(devices, "_QUOTA", tmp_path / "cpu.max")
    return tmp_path


@pytest.mark.parametrize(
    ("affinity", "quota", "expected"),
    [
        (range(8), None, 4),
        (range(8), "max 100000", 4),
        (range(8), "200000 100000", 2),
        (range(8), "50000 100000", 1),
        ((0, 4), None, 1),
        ((0, 1, 5), None, 2),
        (range(9), None, 5),  # one core of unknown topology
    ],
)
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux only")
def test_respects_threads_affinity_and_quota(
    four_cores_of_two_threads, monkeypatch, affinity, quota, expected
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(affinity))
    if quota:
        (four_cores_of_two_threads / "cpu.max").write_text(quota + "\n")
    assert devices.num_physical_cores() == expected


def test_counts_cores_without_cpu_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert devices.num_physical_cores() == os.cpu_count()


@pytest.fixture
def told(monkeypatch):
    """Values that ``use_cpu_cores`` sets in JAX, on six cores."""
    values = []

    class Config:
        jax_num_cpu_devices = -1

        def update(self, name, value):
            values.append((name, value))

    monkeypatch.setattr(devices.jax, "config", Config())
    monkeypatch.setattr(devices, "num_physical_cores", lambda: 6)
    return values


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"batch_size": 24}, 6),
        ({"batch_size": 24, "num_devices": 5}, 5),
        ({"batch_size": 24, "num_devices": 9}, 6),
        ({"batch_size": None}, 6),
    ],
)
def test_the_number_of_devices_in_the_config_takes_precedence(told, options, expected):
    devices.use_cpu_cores(**options)
    assert told == [("jax_num_cpu_devices", expected)]


def test_keeps_what_the_user_has_set(told, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    devices.use_cpu_cores(24)
    monkeypatch.setenv("XLA_FLAGS", "")
    devices.jax.config.jax_num_cpu_devices = 3
    devices.use_cpu_cores(24)
    assert not told


CODE = """
import os, sys
from simclr_jax.training.distributed import devices
devices.num_physical_cores = lambda: 6
import jax
{first}
for _ in range(2):
    devices.use_cpu_cores({arguments})
print(jax.local_device_count())
"""


@pytest.mark.parametrize(
    ("first", "arguments", "environment", "expected", "said"),
    [
        ("", "16", {}, 4, "Using only 4 of 6 cores"),
        ("", "24", {"JAX_NUM_CPU_DEVICES": "3"}, 3, ""),
        ("jax.devices()", "24", {}, 1, "JAX has already started with 1 CPU device(s)"),
    ],
)
def test_configures_jax(first, arguments, environment, expected, said):
    inherited = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(first=first, arguments=arguments)],
        env=inherited | {"JAX_PLATFORMS": "cpu"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{expected}\n"
    assert done.stderr.count(said) == 1 if said else not done.stderr
