"""CPU devices for JAX: one for each physical core.

XLA runs most convolutions on a single core, so training is faster if the batch is
sharded over one device per core. The number has to be set before JAX starts.
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
    """Configures JAX to use one CPU device per physical core.

    Must be called before JAX starts; afterwards (e.g. in a notebook) it only logs a
    warning. If the cores cannot divide the batch evenly, the largest smaller number
    that can is used. A number set by the user in ``JAX_NUM_CPU_DEVICES``, ``XLA_FLAGS``
    or ``jax_num_cpu_devices`` is kept. GPUs and TPUs are not affected.

    Args:
      batch_size: number of images in a global batch; None: any number of devices fits.
      accumulate: number of micro-batches, each of which is sharded over the devices.
      num_devices: requested number of devices; None: the number of cores.

    Example:
      >>> from simclr_jax import training
      >>> training.use_cpu_cores(256)  # first statement of a script
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
    except RuntimeError:  # JAX has started already.
        started = jax.local_device_count()
        if _is_cpu() and started < chosen:
            _say_once(
                f"JAX has already started with {started} CPU device(s); {chosen}, one "
                "per core, would be faster. Before JAX is used, set "
                f"JAX_NUM_CPU_DEVICES={chosen} or call training.use_cpu_cores."
            )
        return
    if chosen < num_cores and num_devices is None and _is_cpu():
        _say_once(
            f"Using only {chosen} of {num_cores} cores, because more cannot divide "
            f"a batch of {batch_size} images evenly. A batch size that is a multiple "
            f"of {num_cores * accumulate} is faster."
        )


def largest_divisor(batch_size: int | None, *, accumulate: int, limit: int) -> int:
    """Returns the largest number of devices that divides a batch evenly.

    Args:
      batch_size: number of images in a global batch; None: every number divides it.
      accumulate: number of micro-batches in a batch.
      limit: largest number of devices.

    Returns:
      A number in [1, limit]; 1 if no number divides the batch.
    """
    if batch_size is None or batch_size < 1 or accumulate < 1:
        return limit
    fits = lambda number: batch_size % (number * accumulate) == 0
    return max(filter(fits, range(1, limit + 1)), default=1)


def num_physical_cores() -> int:
    """Returns the number of physical cores that this process may use, at least 1.

    Hardware threads of one core count once. The CPU affinity of the process and the
    CPU quota of its container (cgroup v2) are respected.
    """
    if not hasattr(os, "sched_getaffinity"):  # macOS, Windows
        return os.cpu_count() or 1
    cpus = os.sched_getaffinity(0)
    cores = {_core_of(cpu) for cpu in cpus}
    return max(int(min(len(cores), _quota())), 1)


def _core_of(cpu: int) -> tuple[str, str]:
    """Returns an identifier of the core that a CPU (hardware thread) belongs to."""
    topology = _CPUS / f"cpu{cpu}" / "topology"
    try:
        package = (topology / "physical_package_id").read_text().strip()
        return package, (topology / "core_id").read_text().strip()
    except OSError:
        return "cpu", str(cpu)


def _quota() -> float:
    """Returns the CPU quota of the container in cores; infinity if there is none."""
    try:
        quota, period = _QUOTA.read_text().split()
        return float(quota) / float(period)
    except (OSError, ValueError):  # The file is missing, or contains "max".
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
