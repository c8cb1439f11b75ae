"""The training step: updates the parameters from one batch.

``train_step`` makes one update; ``train_steps`` makes several in one compiled program.
"""

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
    """Makes one update of the parameters, the statistics and the optimizer.

    In this order: embeddings of the batch (``method.forward``), ``method.loss``, its
    gradient, the optimizer update, ``method.after_update``.

    The batch may be sharded over the devices of a mesh; the arrays are replicated.
    Step t uses the key ``fold_in(key, t)``, so the result depends on nothing but the
    arguments.

    Args:
      graphdef: structure of (method, optimizer), static.
      execution: layout of the step over devices and micro-batches, static.
      arrays: arrays of (method, optimizer); donated, so the caller must not use them
        again.
      batch: the fields that the method reads, e.g. ``{"image": uint8 [b h w c]}``, or
        a ``types.PaddedImages`` of uint8 images.
      key: PRNG key of the run.

    Returns:
      The new arrays, and the metrics as float32 scalars on the device: ``loss``,
      ``gradient_norm`` and those of the method.

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
      >>> optimizer = nnx.Optimizer(method, optax.sgd(0.1), wrt=method.trainable)
      >>> state = training.create(method, optimizer)
      >>> batch = {"image": jnp.zeros((4, 8, 8, 1), jnp.uint8)}
      >>> arrays, metrics = training.train_step(
      ...     state.graphdef,
      ...     sharding.Execution(),
      ...     state.arrays,
      ...     batch,
      ...     jax.random.key(0),
      ... )
      >>> metrics["loss"].shape
      ()
    """
    method, optimizer = nnx.merge(graphdef, arrays)
    step = optimizer.step[...]
    batch_size = jax.tree.leaves(batch)[0].shape[0]
    sample_keys = keys.sample_keys(jax.random.fold_in(key, step), batch_size)
    method_def, params, rest = nnx.split(method, method.trainable, ...)

    def loss_fn(params):
        # A copy, because BatchNorm updates `rest`, which belongs to the outer trace.
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
    """Makes one update per batch, in a single compiled program.

    Useful if a step is so short that dispatching it takes as long as running it.

    Args:
      graphdef: see ``train_step``.
      execution: see ``train_step``.
      arrays: see ``train_step``.
      batches: one batch per step, all of the same shape.
      key: PRNG key of the run.

    Returns:
      The new arrays, and the metrics of every step, each of shape [len(batches)].

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
      >>> optimizer = nnx.Optimizer(method, optax.sgd(0.1), wrt=method.trainable)
      >>> state = training.create(method, optimizer)
      >>> batch = {"image": jnp.zeros((4, 8, 8, 1), jnp.uint8)}
      >>> arrays, metrics = training.train_steps(
      ...     state.graphdef,
      ...     sharding.Execution(),
      ...     state.arrays,
      ...     (batch, batch),
      ...     jax.random.key(0),
      ... )
      >>> metrics["loss"].shape
      (2,)
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

    # XLA's CPU backend runs the body of a loop on a single core, so it is unrolled.
    return jax.lax.platform_dependent(arrays, *batches, cpu=unrolled, default=scanned)


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
