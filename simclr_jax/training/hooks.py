"""What happens between steps. A hook is called after every call, and decides itself.

``hook(step, state, metrics)``: ``step`` updates were made, ``state`` is what they left
(its arrays are donated to the next call, so keep no reference), ``metrics`` are scalars
on the device, or of shape [k] where the call made k steps.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax

from simclr_jax.core import checks, errors, types
from simclr_jax.training import chance, state
from simclr_jax.training.checkpoints import checkpoint
from simclr_jax.training.metrics import goodput as goodput_lib
from simclr_jax.training.metrics import progress, writers

Hook = Callable[[int, state.TrainState, types.Metrics], Mapping[str, float] | None]
"""What the loop calls. Numbers that a hook returns are written to the metrics; a hook
with a method ``close`` is closed at the end of the run."""


@dataclasses.dataclass
class Every:
    """When a hook runs: every so many steps, or every so many seconds.

    Attributes:
      steps: steps between two runs, or None.
      seconds: seconds between two runs, or None. Not a function of the step: two runs
        of one config differ in when it is due.
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
        """Returns whether it is time; asked once a call.

        Args:
          step: updates made so far.
          num_steps: how many of them the call made.
        """
        if self.steps is not None:
            last = step - num_steps if self._last_step is None else self._last_step
            self._last_step = step
            return step // self.steps > last // self.steps
        is_due = time.monotonic() - self._last_time >= (self.seconds or 0)
        if is_due:
            self._last_time = time.monotonic()
        return is_due


class Record:
    """Runs a hook of the user, writes what it returns, and counts its time."""

    def __init__(self, hook: Hook, *, log: "LogMetrics", goodput: goodput_lib.Goodput):
        """Wraps the hook.

        Args:
          hook: returns numbers by name when it has measured something, else None.
          log: where the numbers are written.
          goodput: told how long the hook held up the run when it measured.
        """
        self._hook = hook
        self._log = log
        self._goodput = goodput

    def __call__(
        self, step: int, state: state.TrainState, metrics: types.Metrics
    ) -> None:
        """Calls the hook; transfers between host and devices are allowed in it."""
        values = None
        with (
            self._goodput.lost_to("evaluate", if_true=lambda: values is not None),
            jax.transfer_guard("allow"),
        ):
            values = self._hook(step, state, metrics)
        if values:
            self._log.record(step, values)

    def close(self) -> None:
        """Closes the hook, if it can be closed."""
        close = getattr(self._hook, "close", None)
        if close is not None:
            close()


class LogMetrics:
    """Keeps metrics on the device and writes them every ``every_steps``.

    The loss and the norm of the gradient of *every* step are looked at, so that a run
    stops at the first that is not finite.
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
        """Sets what is written, and where.

        Args:
          every_steps: steps between logged steps; the last one is logged too.
          num_steps: steps in the run.
          schedule: learning rate by step.
          shown: what a person sees.
          outputs: where logged metrics go.
          last_good: the newest committed checkpoint, for the message.
          counted: what was counted on the host since the last logged step.
          warmup_steps: steps before a loss at chance is a reason for a warning.
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
        """Takes the metrics of a step.

        Raises:
          NonFiniteError: at a logged step, if one since the last was not finite.
        """
        del state
        self._recent.append((step, metrics))
        self._shown.advance(step)
        if step % self._every_steps == 0 or step == self._num_steps:
            self._write(step)

    def check(self) -> None:
        """Fetches the losses since the last time and looks at them.

        Raises:
          NonFiniteError: names the first step whose loss or gradient is not finite.
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
        """Writes numbers that were measured beside the training.

        Args:
          step: updates made so far.
          values: numbers by name.
        """
        self._shown.note(step, values)
        for output in self._outputs:
            output.write(step, dict(values))

    def close(self) -> None:
        """Closes the outputs and the bar."""
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


class SaveCheckpoint:
    """Saves every ``every_steps`` and after the last step."""

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
        """Sets what is saved, and when.

        Args:
          checkpoints: where it goes.
          every_steps: steps between checkpoints.
          num_steps: steps in the run.
          meta: what each checkpoint says beside its arrays, as JSON.
          before: called before each save; raises if the state must not be saved.
          goodput: told how long each save held up the run.
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
        """Saves where it is time to; notices a save that has failed at any step."""
        del metrics
        self._checkpoints.poll()
        if step % self._every_steps == 0 or step == self._num_steps:
            self.save(step, state)

    def save(self, step: int, state: state.TrainState) -> None:
        """Saves now, unless that step is saved already."""
        self._before()
        with self._goodput.lost_to("save"):  # a save before it that goes on, too
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
    """Yields step and metrics one by one, of calls that made one step or several."""
    for last, metrics in calls:
        columns = {name: np.ravel(values) for name, values in metrics.items()}
        count = len(columns["loss"])
        for index in range(count):
            values = {name: float(column[index]) for name, column in columns.items()}
            yield last - count + 1 + index, values
