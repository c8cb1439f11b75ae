"""Train an encoder on images without labels.

If the workdir contains a run of the same config, it is resumed.
"""

import contextlib
import os

import jax
from absl import flags

from simclr_jax import assembly, data, training
from simclr_jax.core import errors, paths, signals
from simclr_jax.programs import config_flag
from simclr_jax.training import profiling

_CONFIG = config_flag.define()
_WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "Local folder for checkpoints and metrics; a run in it is resumed.",
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "HOST:PORT of process 0, in a run of several processes."
)
_NUM_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "Number of processes in the run."
)
_PROCESS_ID = flags.DEFINE_integer(
    "process_id", None, "Number of this process, from 0."
)
_PROFILE_STEPS = flags.DEFINE_string(
    "profile_steps",
    None,
    "FIRST:LAST, steps of a profiler trace, written to WORKDIR/profile.",
)


def main() -> int:
    """Runs the program; the flags must be parsed."""
    if _CONFIG.value is None or not _WORKDIR.value:
        raise errors.UserError(
            "pretrain needs --config=RECIPE (or FILE.py) and --workdir=DIR, e.g. "
            "--config=mnist --workdir=runs/mnist. simclr configs lists the recipes."
        )
    workdir = paths.local_path(_WORKDIR.value, what="workdir")
    steps = _PROFILE_STEPS.value
    profile_steps = None if steps is None else profiling.parse_steps(steps)
    training.distributed.processes.join(
        coordinator=_COORDINATOR.value,
        num_processes=_NUM_PROCESSES.value,
        process_id=_PROCESS_ID.value,
    )
    config = _CONFIG.value
    if not jax.distributed.is_initialized():  # Else processes may share the cores.
        training.use_cpu_cores(
            config.batch_size,
            accumulate=config.execution.accumulate,
            num_devices=config.execution.num_devices,
        )
    # Absolute, so that the checkpoint alone suffices to find the data later.
    config.data.source = data.absolute_spec(config.data.source)
    config.data.data_dir = data.absolute_data_dir(config.data.data_dir)
    return pretrain(config, workdir, profile_steps=profile_steps)


def pretrain(
    config: assembly.Config,
    workdir: str | os.PathLike[str],
    *,
    profile_steps: tuple[int, int] | None = None,
) -> int:
    """Trains until the end of the run, or until a stop is requested.

    Args:
      config: a config, see ``assembly/config/defaults.py`` for its fields.
      workdir: local folder of checkpoints and ``metrics.jsonl``.
      profile_steps: first and last step of a profiler trace; None: no trace.

    Returns:
      0 at the end of the run; 143 after SIGTERM or Ctrl-C, with the state saved.

    Raises:
      StoppedError: after SIGTERM or Ctrl-C before the first step.
      UserError: if the config, the data or the workdir is invalid.
    """
    assembly.config.check(config)
    goodput = training.metrics.Goodput()
    with contextlib.ExitStack() as stack:
        stack.enter_context(training.distributed.processes.explain_if_killed())
        workdir = training.open_workdir(workdir, stack)
        stop = stack.enter_context(training.distributed.StopRequest())
        with signals.waiting_for("the data and the model to be ready"):
            run = assembly.assemble(config, cache_dir=workdir.parent / "decoded")
            signals.raise_if_stopped()
            initial = run.initial_state()
            signals.raise_if_stopped()
        _, step = run.train(
            workdir,
            state=initial,
            profile_steps=profile_steps,
            goodput=goodput,
            stop=stop,
        )
    is_done = step == run.length.num_steps
    if training.distributed.processes.is_first():
        done = f"Done: {step} steps. Checkpoints and metrics are in {workdir}."
        left = f"Stopped at step {step} and saved; the same command continues the run."
        print(done if is_done else left)
    return 0 if is_done else errors.PREEMPTED_EXIT_CODE
