"""A run in a working directory: restore, loop, metrics and checkpoints put together."""

import contextlib
import dataclasses
import logging
import os
import pathlib
import platform
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import flax
import grain
import jax
import numpy as np
import optax
import orbax.checkpoint as ocp

import simclr_jax
from simclr_jax.core import errors, paths, sharding, types
from simclr_jax.training import hooks as hooks_lib
from simclr_jax.training import loop, profiling, state
from simclr_jax.training.checkpoints import lock
from simclr_jax.training.checkpoints.checkpoint import Checkpoints, check_free_space
from simclr_jax.training.distributed import preemption, processes
from simclr_jax.training.metrics import goodput as goodput_lib
from simclr_jax.training.metrics import progress, writers

CHECKPOINTS = "checkpoints"
METRICS = "metrics.jsonl"
PROFILE = "profile"

_log = logging.getLogger("simclr_jax")


@dataclasses.dataclass(frozen=True)
class Session:
    """What a run in a working directory needs to know.

    Attributes:
      workdir: where checkpoints and metrics go.
      num_steps: updates in the run.
      batch_size: images in a global batch.
      schedule: learning rate by step.
      log_every_steps: steps between logged steps.
      checkpoint_every_steps: steps between checkpoints.
      keep_checkpoints: how many of the newest are kept.
      meta: what each checkpoint says beside its arrays, as JSON.
      check_meta: called with the page of a checkpoint before its arrays are read;
        raises if it belongs to another run.
      use_tensorboard: whether event files are written too.
      steps_per_call: steps in one call of a compiled program.
      warmup_steps: steps while the learning rate rises.
      profile_steps: first and last step of a trace to be written, or None.
    """

    workdir: pathlib.Path
    num_steps: int
    batch_size: int
    schedule: optax.Schedule
    log_every_steps: int
    checkpoint_every_steps: int
    keep_checkpoints: int
    meta: dict[str, Any]
    check_meta: Callable[[dict[str, Any]], None]
    use_tensorboard: bool = False
    steps_per_call: int = 1
    warmup_steps: int = 0
    profile_steps: tuple[int, int] | None = None

    def train(
        self,
        initial: state.TrainState,
        batches_from: Callable[[int], Generator[dict[str, Any], None, None]],
        *,
        key: types.PRNGKey,
        execution: sharding.Execution,
        stop: preemption.StopRequest,
        hooks: Sequence[hooks_lib.Hook] = (),
        begin: Callable[[state.TrainState], state.TrainState] = lambda first: first,
        counted: Callable[[], Mapping[str, float]] = dict,
        goodput: goodput_lib.Goodput | None = None,
    ) -> tuple[state.TrainState, int]:
        """Trains from the newest checkpoint, or from the start, to the end of the run.

        Of several processes the first alone reads and writes the directory.

        Args:
          initial: the state of step 0.
          batches_from: returns the batches from a number on.
          key: the key of the run.
          execution: how a step is laid out; the arrays go to the devices of its mesh.
          stop: asked after every call; the state is saved before leaving.
          hooks: called after every call; what they return is written to the metrics.
          begin: changes the state of step 0 where there is no checkpoint to go on from.
          counted: called at each logged step in every process; what was counted on the
            host since then.
          goodput: what the time was lost to before; None: nothing.

        Returns:
          The last state and the number of updates made.

        Raises:
          ConfigMismatchError: if the directory holds another run.
          CheckpointError: if no checkpoint can be read, or none can be written.
          NonFiniteError: if the loss or the gradient is not finite.
        """
        goodput = goodput or goodput_lib.Goodput()
        devices = execution.mesh or sharding.make_mesh(num_devices=1)
        checkpoints = self._open_checkpoints(initial)
        start, start_step = self._restore(checkpoints, initial, devices)
        if start_step == 0:
            start = begin(start)
        log = self._open_log(checkpoints, start_step, counted, goodput)
        own: list[Any] = [log, *self._open_profile()]
        save = None
        if checkpoints is not None:
            save = self._open_save(checkpoints, log, goodput)
            own.append(save)
        recorded = [hooks_lib.Record(hook, log=log, goodput=goodput) for hook in hooks]
        batches = batches_from(start_step)
        try:
            final, step = loop.run(
                start,
                batches,
                key=sharding.place(key, devices),
                execution=execution,
                start_step=start_step,
                num_steps=self.num_steps,
                hooks=[*own, *recorded],
                stop=stop,
                steps_per_call=self.steps_per_call,
                goodput=goodput,
            )
            if save is not None and step > start_step:
                save.save(step, final)
        finally:
            batches.close()  # ends the worker processes
            for hook in [*recorded, *own]:
                hook.close()
        processes.wait_for_all("saved")
        return final, step

    def _open_checkpoints(self, initial: state.TrainState) -> Checkpoints | None:
        """Opens the folder in the first process; the others have None."""
        opened = []

        def open_folder() -> None:
            num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(initial.items()))
            check_free_space(self.workdir, num_bytes)
            folder = self.workdir / CHECKPOINTS
            opened.append(Checkpoints(folder, keep=self.keep_checkpoints))

        processes.run_on_first(open_folder)
        return opened[0] if opened else None

    def _restore(
        self,
        checkpoints: Checkpoints | None,
        initial: state.TrainState,
        devices: jax.sharding.Mesh,
    ) -> tuple[state.TrainState, int]:
        items = initial.items()
        found = []

        def read() -> int | None:
            restored = checkpoints and checkpoints.restore_newest(
                items, check_meta=self.check_meta
            )
            if not restored:
                return None
            _log.info("Resumed from checkpoint %d in %s.", restored.step, self.workdir)
            found.append(restored.items)
            return restored.step

        step = processes.run_on_first(read)
        if step is None:
            return initial, 0
        arrays = processes.broadcast(found[0] if found else items)
        return initial.with_items(sharding.place(arrays, devices)), step

    def _open_log(
        self,
        checkpoints: Checkpoints | None,
        start_step: int,
        counted: Callable[[], Mapping[str, float]],
        goodput: goodput_lib.Goodput,
    ) -> hooks_lib.LogMetrics:
        return hooks_lib.LogMetrics(
            every_steps=self.log_every_steps,
            num_steps=self.num_steps,
            schedule=self.schedule,
            shown=progress.Progress(
                num_steps=self.num_steps,
                batch_size=self.batch_size,
                start_step=start_step,
                stream=None if processes.is_first() else progress.Silence(),
            ),
            outputs=self._open_outputs(start_step) if processes.is_first() else [],
            last_good=lambda: checkpoints.last_good if checkpoints else None,
            counted=lambda: {**counted(), **goodput.read()},
            warmup_steps=self.warmup_steps,
        )

    def _open_save(
        self,
        checkpoints: Checkpoints,
        log: hooks_lib.LogMetrics,
        goodput: goodput_lib.Goodput,
    ) -> hooks_lib.SaveCheckpoint:
        return hooks_lib.SaveCheckpoint(
            checkpoints,
            every_steps=self.checkpoint_every_steps,
            num_steps=self.num_steps,
            meta=self.meta,
            before=log.check,
            goodput=goodput,
        )

    def _open_profile(self) -> list[profiling.Profile]:
        if self.profile_steps is None or not processes.is_first():
            return []
        first, last = self.profile_steps
        return [profiling.Profile(self.workdir / PROFILE, first=first, last=last)]

    def _open_outputs(self, start_step: int) -> list[writers.Writer]:
        outputs: list[writers.Writer] = [
            writers.JsonLinesWriter(self.workdir / METRICS, resume_step=start_step)
        ]
        if self.use_tensorboard:
            outputs.append(writers.TensorBoardWriter(self.workdir / "tensorboard"))
        return outputs


def open_workdir(
    workdir: str | os.PathLike[str], stack: contextlib.ExitStack
) -> pathlib.Path:
    """Makes and locks a working directory in the first process.

    Args:
      workdir: the directory.
      stack: holds the lock until it is closed.

    Returns:
      Its absolute path.

    Raises:
      UserError: if it cannot be made or written to.
      WorkdirBusyError: if another trainer is in it.
    """

    def take() -> None:
        stack.enter_context(lock.WorkdirLock(prepare_workdir(workdir)))

    processes.run_on_first(take)
    return paths.local_path(workdir, what="workdir")


def prepare_workdir(workdir: str | os.PathLike[str]) -> pathlib.Path:
    """Makes a working directory, or makes sure that one can be written to.

    Args:
      workdir: the directory; its parents are made too.

    Returns:
      Its absolute path.

    Raises:
      UserError: if it cannot be made or written to.
    """
    workdir = paths.local_path(workdir, what="workdir")
    probe = workdir / ".writable"
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        probe.write_text("yes")
        probe.unlink()
    except OSError as error:
        raise errors.UserError(
            f"The workdir {str(workdir)!r} cannot be written to: {error.strerror}. "
            "Choose a directory of your own with free space."
        ) from error
    return workdir


def versions() -> dict[str, str]:
    """Returns the versions of what decides a run's numbers."""
    modules = {"flax": flax, "grain": grain, "jax": jax, "numpy": np, "optax": optax}
    found = {name: str(getattr(m, "__version__", "?")) for name, m in modules.items()}
    return found | {
        "orbax-checkpoint": ocp.__version__,
        "python": platform.python_version(),
        "simclr_jax": simclr_jax.__version__,
    }
