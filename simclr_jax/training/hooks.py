"""Hooks: functions that the training loop calls between steps.

A hook is called as ``hook(step, state, metrics)`` after every call of the compiled
step, and decides itself whether to act:

* ``step``: number of updates made so far;
* ``state``: the state after them. Its arrays are donated to the next step, so a hook
  must not keep references to them;
* ``metrics``: scalars on the device, or arrays of shape [k] if the call made k steps.

This module contains the protocol (``Hook``), the timer (``Every``), and the hooks that
log metrics (``LogMetrics``) and save checkpoints (``SaveCheckpoint``).
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, final

import jax
import numpy as np
import optax

from simclr_jax.core import checks, errors, types
from simclr_jax.training import chance, state
from simclr_jax.training.checkpoints import checkpoint
from simclr_jax.training.metrics import goodput as goodput_lib
from simclr_jax.training.metrics import progress, writers

Hook = Callable[[int, state.TrainState, types.Metrics], Mapping[str, float] | None]
"""``hook(step, state, metrics)``. Returned numbers are written to the metrics. If the
hook has a method ``close``, it is called at the end of the run."""


@final
@dataclasses.dataclass
class Every:
    """Timer of a hook: due every n steps, or every s seconds.

    Attributes:
      steps: number of steps between two runs of the hook, or None.
      seconds: number of seconds between two runs of the hook, or None. The steps at
        which it is due then differ between two runs of the same config.

    Raises:
      UserError: unless exactly one of the two is given and positive.

    Example:
      >>> from simclr_jax import training
      >>> every = training.Every(steps=10)
      >>> [step for step in range(1, 31) if every.is_due(step)]
      [10, 20, 30]
    """

    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self):
        if (self.steps is None) == (self.seconds is None):
            raise errors.UserError(
                "A hook runs every n steps or every s seconds: give one of the two; "
                f"got steps={self.steps}, seconds={self.seconds}."
            )
        if self.steps is not None:
            checks.check_positive_int("steps", self.steps)
        else:
            checks.check_positive("seconds", self.seconds)
        self._last_step: int | None = None
        self._last_time = time.monotonic()

    def is_due(self, step: int, *, num_steps: int = 1) -> bool:
        """Returns whether the hook is due; to be called once per call of the step.

        Args:
          step: number of updates made so far.
          num_steps: number of updates made by the last call.
        """
        if self.steps is not None:
            last = step - num_steps if self._last_step is None else self._last_step
            self._last_step = step
            return step // self.steps > last // self.steps
        is_due = time.monotonic() - self._last_time >= (self.seconds or 0)
        if is_due:
            self._last_time = time.monotonic()
        return is_due


@final
class Record:
    """Wraps a user's hook: writes the numbers it returns and measures its time."""

    def __init__(self, hook: Hook, *, log: "LogMetrics", goodput: goodput_lib.Goodput):
        """Wraps the hook.

        Args:
          hook: returns numbers by name if it has measured something, else None.
          log: receives the numbers.
          goodput: receives the duration of the calls that measured something.
        """
        self._hook = hook
        self._log = log
        self._goodput = goodput

    def __call__(
        self, step: int, state: state.TrainState, metrics: types.Metrics
    ) -> None:
        """Calls the hook, with transfers between host and devices allowed."""
        values = None
        with (
            self._goodput.lost_to("evaluate", if_true=lambda: values is not None),
            jax.transfer_guard("allow"),
        ):
            values = self._hook(step, state, metrics)
        if values:
            self._log.record(step, values)

    def close(self) -> None:
        """Closes the hook if it has a method ``close``."""
        close = getattr(self._hook, "close", None)
        if close is not None:
            close()


@final
class LogMetrics:
    """Writes the metrics of every n-th step and checks the loss of every step.

    Metrics stay on the device until a logged step. The loss and the gradient norm of
    *every* step are then checked, and the error names the first that is not finite.
    """

    def __init__(
        self,
        *,
        every_steps: int,
        num_steps: int,
        schedule: optax.Schedule,
        shown: progress.Progress,
        outputs: Sequence[writers.Writer],
        last_good: Callable[[], int | None] = lambda: None,
        counted: Callable[[], Mapping[str, float]] = dict,
        warmup_steps: int = 0,
    ):
        """Creates the hook.

        Args:
          every_steps: number of steps between logged steps; the last step of the run is
            logged too.
          num_steps: number of steps in the run.
          schedule: learning rate as a function of the step.
          shown: progress display on the terminal.
          outputs: writers of the logged metrics.
          last_good: returns the newest committed checkpoint, for error messages.
          counted: returns the numbers counted on the host since the last logged step.
          warmup_steps: number of steps before a loss at chance causes a warning.
        """
        self._chance = chance.ChanceWatch(warmup_steps=warmup_steps)
        self._every_steps = every_steps
        self._num_steps = num_steps
        self._schedule = schedule
        self._shown = shown
        self._outputs = outputs
        self._last_good = last_good
        self._counted = counted
        self._recent: list[tuple[int, types.Metrics]] = []

    def __call__(
        self, step: int, state: state.TrainState, metrics: types.Metrics
    ) -> None:
        """Records the metrics of a call of the step.

        Raises:
          NonFiniteError: at a logged step, if a loss or gradient since the last logged
            step is not finite.
        """
        del state
        self._recent.append((step, metrics))
        self._shown.advance(step)
        if step % self._every_steps == 0 or step == self._num_steps:
            self._write(step)

    def check(self) -> None:
        """Fetches the losses since the last check from the device and checks them.

        Raises:
          NonFiniteError: with the first step whose loss or gradient is not finite.
        """
        names = ("loss", "gradient_norm", "chance_loss")
        watched = [
            (step, {name: m[name] for name in names if name in m})
            for step, m in self._recent
        ]
        fetched: Any = jax.device_get(watched)
        for step, values in _each_step(fetched):
            loss, norm = values["loss"], values["gradient_norm"]
            if not (math.isfinite(loss) and math.isfinite(norm)):
                good = self._last_good()
                good = "none" if good is None else f"step {good}"
                raise errors.NonFiniteError(
                    f"At step {step} the loss is {loss} and the norm of the "
                    f"gradient {norm}. Stopped; the last good checkpoint is "
                    f"{good}. A lower learning rate, a longer warm-up or a higher "
                    "temperature may help."
                )
            if "chance_loss" in values:
                self._chance.see(
                    step, loss=loss, chance=values["chance_loss"], norm=norm
                )
        self._recent = self._recent[-1:]

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Writes numbers that an evaluator measured during training.

        Args:
          step: number of updates made so far.
          values: numbers by name.
        """
        self._shown.note(step, values)
        for output in self._outputs:
            output.write(step, dict(values))

    def close(self) -> None:
        """Closes the writers and the progress display."""
        self._shown.close()
        for output in self._outputs:
            output.close()

    def _write(self, step: int) -> None:
        self.check()
        newest = jax.device_get(self._recent[-1][1])
        values = {name: float(np.ravel(value)[-1]) for name, value in newest.items()}
        self._recent = []
        with jax.transfer_guard("allow"):
            rate: Any = self._schedule(step - 1)
            values["learning_rate"] = float(rate)
        values |= self._counted()
        values["images_per_second"] = self._shown.report(step, values["loss"])
        for output in self._outputs:
            output.write(step, values)


@final
class SaveCheckpoint:
    """Saves a checkpoint every n steps and after the last step."""

    def __init__(
        self,
        checkpoints: checkpoint.Checkpoints,
        *,
        every_steps: int,
        num_steps: int,
        meta: dict[str, Any],
        before: Callable[[], None],
        goodput: goodput_lib.Goodput,
    ):
        """Creates the hook.

        Args:
          checkpoints: writes the checkpoints.
          every_steps: number of steps between checkpoints.
          num_steps: number of steps in the run.
          meta: metadata of every checkpoint, JSON values.
          before: called before each save; raises if the state must not be saved.
          goodput: receives the time for which each save blocked the run.
        """
        self._checkpoints = checkpoints
        self._every_steps = every_steps
        self._num_steps = num_steps
        self._meta = meta
        self._before = before
        self._goodput = goodput

    def __call__(
        self, step: int, state: state.TrainState, metrics: types.Metrics
    ) -> None:
        """Saves a checkpoint if due; reports a failed asynchronous save at once."""
        del metrics
        self._checkpoints.poll()
        if step % self._every_steps == 0 or step == self._num_steps:
            self.save(step, state)

    def save(self, step: int, state: state.TrainState) -> None:
        """Saves ``state`` now, unless ``step`` is saved already."""
        self._before()
        with self._goodput.lost_to("save"):  # Includes the wait for an earlier save.
            if step not in self._checkpoints.steps():
                self._checkpoints.save(step, state.items(), self._meta)

    def close(self) -> None:
        """Waits until the last save is committed.

        Raises:
          CheckpointError: if it could not be written.
        """
        self._checkpoints.close()


def _each_step(
    calls: Iterable[tuple[int, Mapping[str, Any]]],
) -> Iterator[tuple[int, dict[str, float]]]:
    """Yields (step, metrics) of every step, for calls of one or of several steps."""
    for last, metrics in calls:
        columns = {name: np.ravel(values) for name, values in metrics.items()}
        count = len(columns["loss"])
        for index in range(count):
            values = {name: float(column[index]) for name, column in columns.items()}
            yield last - count + 1 + index, values
