"""Training: the devices, the state, the step, the loop and what is kept of a run."""

from simclr_jax.training import processes
from simclr_jax.training.accumulation import map_micro_batches
from simclr_jax.training.checkpoint import (
    Checkpoints,
    find_steps,
    read_item,
    read_meta,
    set_aside,
)
from simclr_jax.training.devices import use_cpu_cores
from simclr_jax.training.digest import compare_shapes
from simclr_jax.training.goodput import Goodput
from simclr_jax.training.hooks import Every, Hook, LogMetrics, SaveCheckpoint
from simclr_jax.training.lock import WorkdirLock
from simclr_jax.training.loop import run
from simclr_jax.training.mesh import (
    check_batch_size,
    make_mesh,
    mesh_of,
    place,
    replicated,
    split,
)
from simclr_jax.training.preemption import StopRequest
from simclr_jax.training.profiling import Profile, parse_steps
from simclr_jax.training.progress import Progress
from simclr_jax.training.session import (
    CHECKPOINTS,
    METRICS,
    Session,
    open_workdir,
    prepare_workdir,
    versions,
)
from simclr_jax.training.state import (
    TrainState,
    abstract_state,
    create,
    initialize,
    on_one_device,
    start_from,
)
from simclr_jax.training.step import train_step, train_steps
from simclr_jax.training.writers import JsonLinesWriter, TensorBoardWriter

__all__ = [
    "CHECKPOINTS",
    "METRICS",
    "Checkpoints",
    "Every",
    "Goodput",
    "Hook",
    "JsonLinesWriter",
    "LogMetrics",
    "Profile",
    "Progress",
    "SaveCheckpoint",
    "Session",
    "StopRequest",
    "TensorBoardWriter",
    "TrainState",
    "WorkdirLock",
    "abstract_state",
    "check_batch_size",
    "compare_shapes",
    "create",
    "find_steps",
    "initialize",
    "make_mesh",
    "map_micro_batches",
    "mesh_of",
    "on_one_device",
    "open_workdir",
    "parse_steps",
    "place",
    "prepare_workdir",
    "processes",
    "read_item",
    "read_meta",
    "replicated",
    "run",
    "set_aside",
    "split",
    "start_from",
    "train_step",
    "train_steps",
    "use_cpu_cores",
    "versions",
]
