"""Learns an encoder from images without labels; resumes by itself from its workdir."""

import pathlib

from absl import flags
from ml_collections import config_flags

from simclr_jax import assembly, evaluation, training
from simclr_jax.core import errors

_CONFIG = config_flags.DEFINE_config_file("config", None, "FILE.py or FILE.py:VARIANT.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Where checkpoints and metrics go; a run in it is continued."
)


def main() -> int:
    """Runs the program with the parsed flags."""
    if _CONFIG.value is None or not _WORKDIR.value:
        raise errors.UserError(
            "pretrain needs --config=FILE.py and --workdir=DIR, e.g. "
            "--config=configs/mnist.py --workdir=runs/mnist."
        )
    return pretrain(_CONFIG.value, pathlib.Path(_WORKDIR.value))


def pretrain(config: assembly.Config, workdir: pathlib.Path) -> int:
    """Trains until the end of the run, or until the process is asked to stop.

    Args:
      config: a recipe, see ``configs/common.py``.
      workdir: where checkpoints and ``metrics.jsonl`` go.

    Returns:
      0 at the end of the run; 143 after SIGTERM or Ctrl-C, with the state saved.

    Raises:
      UserError: for what the user can put right.
    """
    assembly.check(config)
    workdir = training.prepare_workdir(workdir)
    with training.WorkdirLock(workdir), training.StopRequest() as stop:
        run = assembly.assemble(config, cache_dir=workdir.parent / "decoded")
        initial = run.initial_state()
        _describe(run, initial)
        session = training.Session(
            workdir=workdir,
            num_steps=run.length.num_steps,
            batch_size=config.batch_size,
            schedule=run.schedule,
            log_every_steps=config.log_every_steps,
            checkpoint_every_steps=config.checkpoint_every_steps,
            keep_checkpoints=config.keep_checkpoints,
            meta=run.meta(),
            check_meta=run.check_meta,
            use_tensorboard=config.tensorboard,
        )
        step = session.train(
            initial,
            run.batches.start_at,
            key=assembly.root_key(config),
            devices=run.mesh,
            stop=stop,
            counted=lambda: {
                "replaced_images": float(run.batches.bad_images.take_count())
            },
        )
    if step < run.length.num_steps:
        print(f"Stopped at step {step} and saved; the same command continues the run.")
        return errors.PREEMPTED_EXIT_CODE
    print(f"Done: {step} steps. Checkpoints and metrics are in {workdir}.")
    return 0


def _describe(run: assembly.Run, initial: training.TrainState) -> None:
    """Prints what is about to happen, effective learning rate included."""
    config, length = run.config, run.length
    num_params = evaluation.count_parameters(initial.method())
    kind = run.mesh.devices.flat[0].device_kind
    place = "kept on the devices"
    if not run.batches.is_resident:
        place = f"streamed, {run.batches.num_workers} workers"
    print(
        f"data      {run.images.name}, {len(run.images):,} images "
        f"{run.images.image_shape}, {place}\n"
        f"method    simclr: {config.encoder.name}, {num_params:,} parameters, "
        f"temperature {config.temperature:g}\n"
        f"devices   {run.mesh.size} x {kind}, batch {config.batch_size} "
        f"({config.batch_size // run.mesh.size} per device)\n"
        f"steps     {length.num_steps:,}, {length.steps_per_epoch:,} per epoch\n"
        f"optimizer {config.optimizer.name}, learning rate 0 to {run.peak:.6g} in "
        f"{length.warmup_steps} steps, then a cosine to 0",
        flush=True,
    )
