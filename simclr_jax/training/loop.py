"""The training loop: takes a batch, calls the compiled step, calls the hooks.

It is independent of the method and of configs. The step itself is in step.py.
"""

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
"""Maximum number of dispatched but unfinished calls.

Two keep the devices busy; a larger number would delay signals and the progress bar."""

Batch = dict[str, jax.Array]


def run(
    initial: state.TrainState,
    batches: Iterable[Batch],
    *,
    key: types.PRNGKey,
    execution: sharding.Execution,
    num_steps: int,
    start_step: int = 0,
    hooks: Sequence[hooks_lib.Hook] = (),
    stop: preemption.StopRequest | None = None,
    steps_per_call: int = 1,
    goodput: goodput_lib.Goodput | None = None,
) -> tuple[state.TrainState, int]:
    """Trains until the last step, or until a stop is requested.

    Implicit transfers between host and devices raise an error
    (``jax.transfer_guard("disallow")``), so none slows the loop down unnoticed.

    Args:
      initial: state after ``start_step`` updates; its arrays are donated.
      batches: batches on the devices, starting with number ``start_step``.
      key: PRNG key of the run, replicated on the devices.
      execution: layout of a step over devices and micro-batches.
      num_steps: number of updates in the whole run.
      start_step: number of updates made so far.
      hooks: called after every call of the step, in this order.
      stop: checked after every call of the step; None: never stops early.
      steps_per_call: number of steps per call of the compiled program. A call ends at a
        multiple of it, or at the last step.
      goodput: receives the time lost to waiting for data and to compiling.

    Returns:
      The final state and the number of updates made.

    Example:
      >>> import jax, jax.numpy as jnp, optax
      >>> from flax import nnx
      >>> from simclr_jax import methods, training
      >>> from simclr_jax.core import sharding
      >>> rngs = nnx.Rngs(0)
      >>> flatten = lambda images: images.reshape(len(images), -1)
      >>> encoder = nnx.Sequential(flatten, nnx.Linear(64, 8, rngs=rngs))
      >>> head = nnx.Linear(8, 4, rngs=rngs)
      >>> noise = lambda key, image: image + jax.random.normal(key, image.shape)
      >>> method = methods.SimCLR(encoder, head=head, augmentation=noise)
      >>> mesh = training.make_mesh(num_devices=1)
      >>> state = training.start_from(method, lambda params: optax.sgd(0.1), mesh=mesh)
      >>> batch = {"image": jnp.zeros((4, 8, 8, 1), jnp.uint8)}
      >>> state, step = training.run(
      ...     state,
      ...     [batch, batch, batch],
      ...     key=jax.random.key(0),
      ...     execution=sharding.Execution(),
      ...     num_steps=3,
      ... )
      >>> step
      3
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
            if stop is not None and stop.is_due(call):
                break
    return state.TrainState(graphdef, arrays), step


@contextlib.contextmanager
def _compiling(goodput: goodput_lib.Goodput, *, is_new: bool) -> Iterator[None]:
    """Counts the time of a compilation as lost, and explains it if interrupted."""
    if not is_new:
        yield
        return
    what = "the step to be compiled and made"
    with goodput.lost_to("compile"), signals.waiting_for(what):
        yield


def _sizes(start_step: int, num_steps: int, steps_per_call: int) -> Iterator[int]:
    """Yields the number of steps of each call."""
    step = start_step
    while step < num_steps:
        end = min((step // steps_per_call + 1) * steps_per_call, num_steps)
        yield end - step
        step = end
