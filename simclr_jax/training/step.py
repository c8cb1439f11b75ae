"""The training step: the one function that updates the state from a batch."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from simclr_jax.core import keys, sharding, types
from simclr_jax.training import accumulation


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def train_step(
    graphdef: nnx.GraphDef,
    execution: sharding.Execution,
    arrays: nnx.State,
    batch: types.Batch,
    key: types.PRNGKey,
) -> tuple[nnx.State, types.Metrics]:
    """Makes one update: embeddings, loss, gradient, optimizer, what follows an update.

    The batch may be split over the devices of a mesh; the arrays are on all of them.
    Step t uses ``fold_in(key, t)``, so it is a function of (key, t) and its inputs.

    Args:
      graphdef: the structure of (method, optimizer).
      execution: how the step is laid out over devices and micro-batches.
      arrays: their arrays; donated, so not to be used again.
      batch: the fields that the method reads, e.g. ``{"image": uint8 [b h w c]}``, or a
        ``types.PaddedImages`` of such.
      key: the key of the run.

    Returns:
      The new arrays, and float32 scalars that stay on the device: ``loss``,
      ``gradient_norm`` and the method's own.
    """
    method, optimizer = nnx.merge(graphdef, arrays)
    step = optimizer.step[...]
    batch_size = jax.tree.leaves(batch)[0].shape[0]
    sample_keys = keys.sample_keys(jax.random.fold_in(key, step), batch_size)
    method_def, params, rest = nnx.split(method, method.trainable, ...)

    def loss_fn(params):
        # A copy, since BatchNorm writes into `rest`, which belongs to the outer trace.
        model = nnx.merge(method_def, params, rest, copy=True)
        outputs = accumulation.forward(model, batch, sample_keys, execution=execution)
        loss, metrics = model.loss(outputs, batch, step=step, execution=execution)
        written = nnx.state(model, nnx.Not(method.trainable))
        return loss, (metrics, outputs, written)

    gradient = jax.value_and_grad(loss_fn, has_aux=True)
    (loss, (metrics, outputs, written)), grads = gradient(params)
    nnx.update(method, written)
    optimizer.update(method, grads)
    method.after_update(jax.lax.stop_gradient(outputs), step=step)
    metrics = {"loss": loss, "gradient_norm": optax.tree.norm(grads)} | metrics
    return sharding.keep_replicated(
        nnx.state((method, optimizer)), execution.mesh
    ), metrics


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def train_steps(
    graphdef: nnx.GraphDef,
    execution: sharding.Execution,
    arrays: nnx.State,
    batches: tuple[types.Batch, ...],
    key: types.PRNGKey,
) -> tuple[nnx.State, types.Metrics]:
    """Makes one update for each batch, in one program that the host starts once.

    Worth it where a step is so short that starting it takes as long.

    Args:
      graphdef: as for ``train_step``.
      execution: as for ``train_step``.
      arrays: as for ``train_step``.
      batches: one batch for each step, all of one shape.
      key: the key of the run.

    Returns:
      The new arrays, and the metrics of every step, each of shape [len(batches)].
    """

    def one_step(arrays, batch):
        return train_step(graphdef, execution, arrays, batch, key)

    def unrolled(arrays, *batches):
        metrics = []
        for batch in batches:
            arrays, of_step = one_step(arrays, batch)
            metrics.append(of_step)
        return arrays, _stack(metrics)

    def scanned(arrays, *batches):
        return jax.lax.scan(one_step, arrays, _stack(batches))

    # A loop of XLA's CPU backend runs its body on one core.
    return jax.lax.platform_dependent(arrays, *batches, cpu=unrolled, default=scanned)


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
