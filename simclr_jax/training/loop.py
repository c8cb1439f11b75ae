"""The loop: batches in, steps made, hooks called. It knows no method and no config."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax

from simclr_jax.core import sharding, signals, types
from simclr_jax.training import hooks as hooks_lib
from simclr_jax.training import state
from simclr_jax.training.distributed import preemption
from simclr_jax.training.metrics import goodput as goodput_lib
from simclr_jax.training.step import train_step, train_steps

MAX_QUEUED_CALLS = 2
"""Calls that the host may be ahead of the devices: they never wait, and a signal or
the bar never lags."""

Batch = dict[str, jax.Array]


def run(
    initial: state.TrainState,
    batches: Iterable[Batch],
    *,
    key: types.PRNGKey,
    execution: sharding.Execution,
    start_step: int,
    num_steps: int,
    hooks: Sequence[hooks_lib.Hook],
    stop: preemption.StopRequest,
    steps_per_call: int = 1,
    goodput: goodput_lib.Goodput | None = None,
) -> tuple[state.TrainState, int]:
    """Trains until the last step, or until the process is asked to stop.

    Nothing is transferred by accident: the transfer guard holds in the loop.

    Args:
      initial: the state after ``start_step`` updates; its arrays are donated.
      batches: the batches from number ``start_step`` on, on the devices.
      key: the key of the run, on every device.
      execution: how a step is laid out over devices and micro-batches.
      start_step: updates made so far.
      num_steps: updates in the whole run.
      hooks: called after every call, in this order.
      stop: asked after every call.
      steps_per_call: steps in one call of a compiled program; a call ends at a multiple
        of it, and at the last step.
      goodput: told what the time is lost to.

    Returns:
      The state and the number of updates made.
    """
    graphdef, arrays, step = initial.graphdef, initial.arrays, start_step
    goodput = goodput or goodput_lib.Goodput()
    goodput.training_starts()
    queued: list[Any] = []
    compiled: set[int] = set()
    batches = iter(batches)
    with jax.transfer_guard("disallow"):
        for call, size in enumerate(_sizes(start_step, num_steps, steps_per_call)):
            is_idle = lambda: all(loss.is_ready() for loss in queued)
            with goodput.lost_to("data", if_true=is_idle):
                group = tuple(itertools.islice(batches, size))
            if len(group) < size:
                break
            with _compiling(goodput, is_new=size not in compiled):
                if steps_per_call == 1:
                    step_fn, of_call = train_step, group[0]
                else:
                    step_fn, of_call = train_steps, group
                arrays, metrics = step_fn(graphdef, execution, arrays, of_call, key)
            compiled.add(size)
            step += size
            queued.append(metrics["loss"])
            if len(queued) > MAX_QUEUED_CALLS:
                queued.pop(0).block_until_ready()
            for hook in hooks:
                hook(step, state.TrainState(graphdef, arrays), metrics)
            if stop.is_due(call):
                break
    return state.TrainState(graphdef, arrays), step


@contextlib.contextmanager
def _compiling(goodput: goodput_lib.Goodput, *, is_new: bool) -> Iterator[None]:
    """Counts a compilation as lost and says to who asks that it is waited for."""
    if not is_new:
        yield
        return
    what = "the step to be compiled and made"
    with goodput.lost_to("compile"), signals.waiting_for(what):
        yield


def _sizes(start_step: int, num_steps: int, steps_per_call: int) -> Iterator[int]:
    """Yields the steps of each call."""
    step = start_step
    while step < num_steps:
        end = min((step // steps_per_call + 1) * steps_per_call, num_steps)
        yield end - step
        step = end
