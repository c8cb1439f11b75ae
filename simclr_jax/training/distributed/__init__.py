"""Multi-device and multi-process runs: starting, communicating and stopping."""

from simclr_jax.training.distributed import processes
from simclr_jax.training.distributed.devices import use_cpu_cores
from simclr_jax.training.distributed.preemption import StopRequest

__all__ = ["StopRequest", "processes", "use_cpu_cores"]
