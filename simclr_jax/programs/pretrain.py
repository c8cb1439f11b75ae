"""Learns an encoder from images without labels; resumes by itself from its workdir."""

import contextlib
import pathlib

import jax
from absl import flags
from ml_collections import config_flags

from simclr_jax import assembly, evaluation, training
from simclr_jax.core import errors, signals

_CONFIG = config_flags.DEFINE_config_file("config", None, "FILE.py or FILE.py:VARIANT.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Where checkpoints and metrics go; a run in it is continued."
)


_COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "HOST:PORT of the first of several processes."
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "Processes in the run.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "Number of this one, from 0.")
_PROFILE_STEPS = flags.DEFINE_string(
    "profile_steps", None, "FIRST:LAST, steps whose trace goes to WORKDIR/profile."
)


def main() -> int:
    """Runs the program with the parsed flags."""
    if _CONFIG.value is None or not _WORKDIR.value:
        raise errors.UserError(
            "pretrain needs --config=FILE.py and --workdir=DIR, e.g. "
            "--config=configs/mnist.py --workdir=runs/mnist."
        )
    steps = _PROFILE_STEPS.value
    profile_steps = None if steps is None else training.parse_steps(steps)
    training.processes.join(
        coordinator=_COORDINATOR.value,
        num_processes=_NUM_PROCESSES.value,
        process_id=_PROCESS_ID.value,
    )
    if not jax.distributed.is_initialized():  # else the cores may be shared by several
        config = _CONFIG.value
        training.use_cpu_cores(
            config.batch_size,
            accumulate=config.accumulate,
            num_devices=config.num_devices,
        )
    workdir = pathlib.Path(_WORKDIR.value)
    return pretrain(_CONFIG.value, workdir, profile_steps=profile_steps)


def pretrain(
    config: assembly.Config,
    workdir: pathlib.Path,
    *,
    profile_steps: tuple[int, int] | None = None,
) -> int:
    """Trains until the end of the run, or until the process is asked to stop.

    Args:
      config: a recipe, see ``configs/common.py``.
      workdir: where checkpoints and ``metrics.jsonl`` go.
      profile_steps: first and last step of a trace to be written.

    Returns:
      0 at the end of the run; 143 after SIGTERM or Ctrl-C, with the state saved.

    Raises:
      StoppedError: after SIGTERM or Ctrl-C before the first step.
      UserError: for what the user can put right.
    """
    assembly.check(config)
    goodput = training.Goodput()
    with contextlib.ExitStack() as stack:
        stack.enter_context(training.processes.last_words())
        workdir = training.open_workdir(workdir, stack)
        stop = stack.enter_context(training.StopRequest())
        with signals.waiting_for("the data and the model to be ready"):
            run = assembly.assemble(config, cache_dir=workdir.parent / "decoded")
            signals.leave_if_asked()
            initial = run.initial_state()
            signals.leave_if_asked()
        if training.processes.is_first():
            _describe(run, initial)
        step = run.session(workdir, profile_steps=profile_steps).train(
            initial,
            run.batches.start_at,
            key=assembly.root_key(config),
            devices=run.mesh,
            stop=stop,
            counted=run.counted,
            goodput=goodput,
        )
    is_done = step == run.length.num_steps
    if training.processes.is_first():
        done = f"Done: {step} steps. Checkpoints and metrics are in {workdir}."
        left = f"Stopped at step {step} and saved; the same command continues the run."
        print(done if is_done else left)
    return 0 if is_done else errors.PREEMPTED_EXIT_CODE


def _describe(run: assembly.Run, initial: training.TrainState) -> None:
    """Prints what is about to happen, effective learning rate included."""
    config, length = run.config, run.length
    num_params = evaluation.count_parameters(initial.method())
    kind = run.mesh.devices.flat[0].device_kind
    hosts = f" in {jax.process_count()} processes" if jax.process_count() > 1 else ""
    place = "kept on the devices"
    if not run.batches.is_resident:
        place = f"streamed, {run.batches.num_workers} workers"
    print(
        f"data      {run.images.name}, {len(run.images):,} images "
        f"{run.images.image_shape}, {place}\n"
        f"method    simclr: {config.encoder.name}, {num_params:,} parameters, "
        f"temperature {config.temperature:g}\n"
        f"devices   {run.mesh.size} x {kind}{hosts}, batch {config.batch_size} "
        f"({config.batch_size // run.mesh.size} per device)\n"
        f"steps     {length.num_steps:,}, {length.steps_per_epoch:,} per epoch\n"
        f"optimizer {config.optimizer.name}, learning rate 0 to {run.peak:.6g} in "
        f"{length.warmup_steps} steps, then a cosine to 0",
        flush=True,
    )
