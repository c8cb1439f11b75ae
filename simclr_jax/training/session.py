"""Training in a working directory: restore, loop, metrics and checkpoints.

``Session.train`` continues from the newest checkpoint of the directory, or starts from
step 0, and calls ``loop.run`` with the hooks that log metrics and save checkpoints.
"""

import contextlib
import dataclasses
import logging
import os
import pathlib
import platform
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, final

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


@final
@dataclasses.dataclass(frozen=True)
class Session:
    """Options of a run in a working directory.

    Attributes:
      workdir: directory of the checkpoints and metrics.
      num_steps: number of updates in the run.
      batch_size: number of images in a global batch.
      schedule: learning rate as a function of the step.
      log_every_steps: number of steps between logged steps.
      checkpoint_every_steps: number of steps between checkpoints.
      keep_checkpoints: number of checkpoints to keep; older ones are deleted.
      meta: metadata of every checkpoint, JSON values.
      check_meta: called with the metadata of a checkpoint before its arrays are read;
        raises if it belongs to another run.
      use_tensorboard: whether to write TensorBoard event files.
      steps_per_call: number of steps per call of the compiled program.
      warmup_steps: number of steps in which the learning rate rises.
      profile_steps: first and last step of a profiler trace, or None.
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
        """Trains from the newest checkpoint, or from step 0, to the end of the run.

        In a run of several processes, only the first one accesses the directory.

        Args:
          initial: the state at step 0.
          batches_from: ``batches_from(n)`` returns the batches starting with number n.
          key: PRNG key of the run.
          execution: layout of a step; the arrays are placed on its mesh.
          stop: checked after every call of the step; the state is saved before leaving.
          hooks: called after every call of the step; the numbers they return are
            written to the metrics.
          begin: modifies the state at step 0 of a run that has no checkpoint yet.
          counted: called at every logged step, in every process; returns the numbers
            counted on the host since the previous call.
          goodput: time lost before the call; None: none.

        Returns:
          The final state and the number of updates made.

        Raises:
          ConfigMismatchError: if the directory contains another run.
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
            trained, step = loop.run(
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
                save.save(step, trained)
        finally:
            batches.close()  # Ends the worker processes.
            for hook in [*recorded, *own]:
                hook.close()
        processes.wait_for_all("saved")
        return trained, step

    def _open_checkpoints(self, initial: state.TrainState) -> Checkpoints | None:
        """Opens the checkpoints in the first process; returns None in the others."""
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
    """Creates and locks a working directory, in the first process.

    Args:
      workdir: the directory; created if missing.
      stack: the lock is released when this exit stack is closed.

    Returns:
      The absolute path of the directory.

    Raises:
      UserError: if the directory cannot be created or written to.
      WorkdirBusyError: if another process trains in it.

    Example:
      >>> import contextlib, tempfile
      >>> from simclr_jax import training
      >>> with contextlib.ExitStack() as stack:
      ...     folder = stack.enter_context(tempfile.TemporaryDirectory())
      ...     workdir = training.open_workdir(f"{folder}/run", stack)
      ...     workdir.name
      'run'
    """

    def take() -> None:
        stack.enter_context(lock.WorkdirLock(prepare_workdir(workdir)))

    processes.run_on_first(take)
    return paths.local_path(workdir, what="workdir")


def prepare_workdir(workdir: str | os.PathLike[str]) -> pathlib.Path:
    """Creates a working directory if missing, and checks that it is writable.

    Args:
      workdir: the directory; missing parents are created too.

    Returns:
      The absolute path of the directory.

    Raises:
      UserError: if the directory cannot be created or written to.

    Example:
      >>> import tempfile
      >>> from simclr_jax import training
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     training.prepare_workdir(f"{folder}/runs/mnist").name
      'mnist'
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
    """Returns the versions of the packages that affect the results of a run.

    Example:
      >>> from simclr_jax.training import session
      >>> sorted(session.versions())[:3]
      ['flax', 'grain', 'jax']
    """
    modules = {"flax": flax, "grain": grain, "jax": jax, "numpy": np, "optax": optax}
    found = {name: str(getattr(m, "__version__", "?")) for name, m in modules.items()}
    return found | {
        "orbax-checkpoint": ocp.__version__,
        "python": platform.python_version(),
        "simclr_jax": simclr_jax.__version__,
    }
