"""Training: the step, the state, the loop and the hooks that run between steps.

* ``train_step`` (step.py): one update of the parameters, compiled;
* ``run`` (loop.py): the loop around it;
* ``Session`` (session.py): the loop in a working directory, with checkpoints and logs.
"""

from simclr_jax.core.sharding import check_batch_size, make_mesh, place
from simclr_jax.training import checkpoints, distributed, metrics
from simclr_jax.training.accumulation import map_micro_batches
from simclr_jax.training.distributed import use_cpu_cores
from simclr_jax.training.hooks import Every, Hook, LogMetrics, SaveCheckpoint
from simclr_jax.training.loop import run
from simclr_jax.training.profiling import Profile
from simclr_jax.training.session import Session, open_workdir, prepare_workdir
from simclr_jax.training.state import (
    TrainState,
    create,
    initialize,
    on_one_device,
    start_from,
)
from simclr_jax.training.step import train_step, train_steps

__all__ = [
    "Every",
    "Hook",
    "LogMetrics",
    "Profile",
    "SaveCheckpoint",
    "Session",
    "TrainState",
    "check_batch_size",
    "checkpoints",
    "create",
    "distributed",
    "initialize",
    "make_mesh",
    "map_micro_batches",
    "metrics",
    "on_one_device",
    "open_workdir",
    "place",
    "prepare_workdir",
    "run",
    "start_from",
    "train_step",
    "train_steps",
    "use_cpu_cores",
]
