"""One device for each physical core, where JAX computes on a CPU.

XLA runs most convolutions on one core, so a batch that is split over as many devices as
there are cores trains faster. JAX takes the number when it starts, not later.
"""

import functools
import logging
import math
import os
import pathlib

import jax

_CPUS = pathlib.Path("/sys/devices/system/cpu")
_QUOTA = pathlib.Path("/sys/fs/cgroup/cpu.max")

_log = logging.getLogger("simclr_jax")


def use_cpu_cores(
    batch_size: int | None,
    *,
    accumulate: int = 1,
    num_devices: int | None = None,
) -> None:
    """Sets one device for each physical core of a CPU; to be called before JAX starts.

    It is the largest number up to the cores that splits the batch evenly. What the user
    has set stays: ``JAX_NUM_CPU_DEVICES``, ``XLA_FLAGS`` or ``jax_num_cpu_devices``.
    GPUs and TPUs are not affected. Where JAX has started, as in a notebook, that is
    said once and nothing changes.

    Args:
      batch_size: images in a global batch; None: any number of devices will do.
      accumulate: micro-batches in a batch, each of which is split over the devices.
      num_devices: what the config asks for; None: as many as there are cores.
    """
    if _is_set_by_user():
        return
    num_cores = num_physical_cores()
    if num_devices is None:
        chosen = largest_divisor(batch_size, accumulate=accumulate, limit=num_cores)
    else:
        chosen = max(min(num_devices, num_cores), 1)
    try:
        jax.config.update("jax_num_cpu_devices", chosen)
    except RuntimeError:  # JAX has started
        started = jax.local_device_count()
        if _is_cpu() and started < chosen:
            _say_once(
                f"JAX had started with {started} CPU device(s) before {chosen} could "
                "be set, one for each core, which is faster. Before JAX is used, set "
                f"JAX_NUM_CPU_DEVICES={chosen} or call training.use_cpu_cores."
            )
        return
    if chosen < num_cores and num_devices is None and _is_cpu():
        _say_once(
            f"{chosen} of {num_cores} cores have a device: batches of {batch_size} "
            "images are not split evenly by more. A batch size that is a multiple of "
            f"{num_cores * accumulate} is faster."
        )


def largest_divisor(batch_size: int | None, *, accumulate: int, limit: int) -> int:
    """Returns the largest number of devices that splits a batch evenly.

    Args:
      batch_size: images in a global batch; None: anything splits.
      accumulate: micro-batches in a batch.
      limit: the most devices.

    Returns:
      At least 1, also where the batch cannot be split at all.
    """
    if batch_size is None or batch_size < 1 or accumulate < 1:
        return limit
    fits = lambda number: batch_size % (number * accumulate) == 0
    return max(filter(fits, range(1, limit + 1)), default=1)


def num_physical_cores() -> int:
    """Returns how many physical cores this process may use, at least 1.

    Two threads of one core count once. The affinity of the process and the quota of
    its container (cgroup v2) are heeded.
    """
    if not hasattr(os, "sched_getaffinity"):  # macOS, Windows
        return os.cpu_count() or 1
    cpus = os.sched_getaffinity(0)
    cores = {_core_of(cpu) for cpu in cpus}
    return max(int(min(len(cores), _quota())), 1)


def _core_of(cpu: int) -> tuple[str, str]:
    """Returns what the threads of one core have in common."""
    topology = _CPUS / f"cpu{cpu}" / "topology"
    try:
        package = (topology / "physical_package_id").read_text().strip()
        return package, (topology / "core_id").read_text().strip()
    except OSError:
        return "cpu", str(cpu)


def _quota() -> float:
    """Returns the cores that a container may use, infinity where there is no limit."""
    try:
        quota, period = _QUOTA.read_text().split()
        return float(quota) / float(period)
    except (OSError, ValueError):  # no such file, or "max"
        return math.inf


def _is_set_by_user() -> bool:
    flags = os.environ.get("XLA_FLAGS", "")
    number: int = getattr(jax.config, "jax_num_cpu_devices", -1)  # -1: not set
    return "xla_force_host_platform_device_count" in flags or number != -1


@functools.cache
def _say_once(text: str) -> None:
    _log.warning("%s", text)


def _is_cpu() -> bool:
    return jax.default_backend() == "cpu"
