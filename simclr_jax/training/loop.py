"""The loop: batches in, steps made, hooks called. It knows no method and no config."""

from collections.abc import Iterable, Sequence

import jax

from simclr_jax.core import types
from simclr_jax.training import hooks as hooks_lib
from simclr_jax.training import preemption, state
from simclr_jax.training.step import train_step

MAX_QUEUED_STEPS = 2
"""Steps that the host may be ahead of the devices: they never wait, and a signal or
the bar never lags."""


def run(
    initial: state.TrainState,
    batches: Iterable[dict[str, jax.Array]],
    *,
    key: types.PRNGKey,
    start_step: int,
    num_steps: int,
    hooks: Sequence[hooks_lib.Hook],
    stop: preemption.StopRequest,
) -> tuple[state.TrainState, int]:
    """Trains until the last step, or until the process is asked to stop.

    Nothing is transferred by accident: the transfer guard holds in the loop.

    Args:
      initial: the state after ``start_step`` updates; its arrays are donated.
      batches: the batches from number ``start_step`` on, on the devices.
      key: the key of the run, on every device.
      start_step: updates made so far.
      num_steps: updates in the whole run.
      hooks: called after every step, in this order.
      stop: asked after every step.

    Returns:
      The state and the number of updates made.
    """
    graphdef, arrays, step = initial.graphdef, initial.arrays, start_step
    queued: list[jax.Array] = []
    with jax.transfer_guard("disallow"):
        for step, batch in zip(
            range(start_step + 1, num_steps + 1), batches, strict=False
        ):
            arrays, metrics = train_step(graphdef, arrays, batch, key)
            queued.append(metrics["loss"])
            if len(queued) > MAX_QUEUED_STEPS:
                queued.pop(0).block_until_ready()
            for hook in hooks:
                hook(step, state.TrainState(graphdef, arrays), metrics)
            if stop.requested:
                break
    return state.TrainState(graphdef, arrays), step
