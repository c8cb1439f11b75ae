"""A run in a working directory: restore, loop, metrics and checkpoints put together."""

import dataclasses
import logging
import pathlib
import platform
from collections.abc import Callable, Generator, Mapping
from typing import Any

import flax
import grain
import jax
import numpy as np
import optax
import orbax.checkpoint as ocp

import simclr_jax
from simclr_jax.core import errors, types
from simclr_jax.training import hooks, loop, mesh, preemption, progress, state, writers
from simclr_jax.training.checkpoint import Checkpoints, check_free_space

CHECKPOINTS = "checkpoints"
METRICS = "metrics.jsonl"

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

    def train(
        self,
        initial: state.TrainState,
        batches_from: Callable[[int], Generator[dict[str, Any], None, None]],
        *,
        key: types.PRNGKey,
        devices: jax.sharding.Mesh,
        stop: preemption.StopRequest,
        counted: Callable[[], Mapping[str, float]] = dict,
    ) -> int:
        """Trains from the newest checkpoint, or from the start, to the end of the run.

        Args:
          initial: the state of step 0.
          batches_from: returns the batches from a number on.
          key: the key of the run.
          devices: where the arrays go.
          stop: asked after every step; the state is saved before leaving.
          counted: called at each logged step; what was counted on the host since then.

        Returns:
          The number of updates made.

        Raises:
          ConfigMismatchError: if the directory holds another run.
          CheckpointError: if no checkpoint can be read, or none can be written.
          NonFiniteError: if the loss or the gradient is not finite.
        """
        num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(initial.items()))
        check_free_space(self.workdir, num_bytes)
        checkpoints = Checkpoints(
            self.workdir / CHECKPOINTS, keep=self.keep_checkpoints
        )
        start, start_step = self._restore(checkpoints, initial, devices)
        log = self._open_log(checkpoints, start_step, counted)
        save = hooks.SaveCheckpoint(
            checkpoints,
            every_steps=self.checkpoint_every_steps,
            num_steps=self.num_steps,
            meta=self.meta,
            before=log.check,
        )
        batches = batches_from(start_step)
        try:
            final, step = loop.run(
                start,
                batches,
                key=jax.device_put(key, mesh.replicated(devices)),
                start_step=start_step,
                num_steps=self.num_steps,
                hooks=(log, save),
                stop=stop,
            )
            if step > start_step:
                save.save(step, final)
        finally:
            batches.close()  # ends the worker processes
            log.close()
            checkpoints.wait()
        checkpoints.close()
        return step

    def _restore(
        self,
        checkpoints: Checkpoints,
        initial: state.TrainState,
        devices: jax.sharding.Mesh,
    ) -> tuple[state.TrainState, int]:
        restored = checkpoints.restore_newest(
            initial.items(), check_meta=self.check_meta
        )
        if restored is None:
            return initial, 0
        _log.info("Resumed from checkpoint %d in %s.", restored.step, self.workdir)
        arrays = jax.device_put(restored.items, mesh.replicated(devices))
        return initial.with_items(arrays), restored.step

    def _open_log(
        self,
        checkpoints: Checkpoints,
        start_step: int,
        counted: Callable[[], Mapping[str, float]],
    ) -> hooks.LogMetrics:
        return hooks.LogMetrics(
            every_steps=self.log_every_steps,
            num_steps=self.num_steps,
            schedule=self.schedule,
            shown=progress.Progress(
                num_steps=self.num_steps,
                batch_size=self.batch_size,
                start_step=start_step,
            ),
            outputs=self._open_outputs(start_step),
            last_good=lambda: checkpoints.last_good,
            counted=counted,
        )

    def _open_outputs(self, start_step: int) -> list[writers.Writer]:
        outputs: list[writers.Writer] = [
            writers.JsonLinesWriter(self.workdir / METRICS, resume_step=start_step)
        ]
        if self.use_tensorboard:
            outputs.append(writers.TensorBoardWriter(self.workdir / "tensorboard"))
        return outputs


def prepare_workdir(workdir: pathlib.Path) -> pathlib.Path:
    """Makes a working directory, or makes sure that one can be written to.

    Args:
      workdir: the directory; its parents are made too.

    Returns:
      Its absolute path.

    Raises:
      UserError: if it cannot be made or written to.
    """
    workdir = pathlib.Path(workdir).absolute()
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
