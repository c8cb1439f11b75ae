"""THE step: what happens to the state when a batch arrives, or several."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from simclr_jax.core import types


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def train_step(
    graphdef: nnx.GraphDef,
    arrays: nnx.State,
    batch: dict[str, jax.Array | types.Canvas],
    key: types.PRNGKey,
) -> tuple[nnx.State, types.Metrics]:
    """Makes one update: views, loss, gradient, optimizer, what the method does after.

    The batch may be split over the devices of a mesh; the arrays are on all of them.
    Step t uses ``fold_in(key, t)``, so it is a function of (key, t) and its inputs.

    Args:
      graphdef: the structure of (method, optimizer).
      arrays: their arrays; donated, so not to be used again.
      batch: what ``method.loss`` takes, e.g. ``{"image": uint8 [b h w c]}``, or a
        ``types.Canvas`` of such.
      key: the key of the run.

    Returns:
      The new arrays, and float32 scalars that stay on the device: ``loss``,
      ``gradient_norm`` and the method's own.
    """
    method, optimizer = nnx.merge(graphdef, arrays)
    step = optimizer.step[...]
    step_key = jax.random.fold_in(key, step)
    method_def, params, rest = nnx.split(method, method.trainable, ...)

    def loss_fn(params):
        # A copy, since BatchNorm writes into `rest`, which belongs to the outer trace.
        model = nnx.merge(method_def, params, rest, copy=True)
        loss, metrics = model.loss(batch, key=step_key, step=step)
        return loss, (metrics, nnx.state(model, nnx.Not(method.trainable)))

    gradient = jax.value_and_grad(loss_fn, has_aux=True)
    (loss, (metrics, statistics)), grads = gradient(params)
    nnx.update(method, statistics)
    optimizer.update(method, grads)
    method.after_update(optimizer.step[...])
    metrics = metrics | {"loss": loss, "gradient_norm": optax.tree.norm(grads)}
    return nnx.state((method, optimizer)), metrics


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def train_steps(
    graphdef: nnx.GraphDef,
    arrays: nnx.State,
    batches: tuple[dict[str, jax.Array], ...],
    key: types.PRNGKey,
) -> tuple[nnx.State, types.Metrics]:
    """Makes one update for each batch, in one program that the host starts once.

    Worth it where a step is so short that starting it takes as long.

    Args:
      graphdef: as for ``train_step``.
      arrays: as for ``train_step``.
      batches: one batch for each step, all of one shape.
      key: the key of the run.

    Returns:
      The new arrays, and the metrics of every step, each of shape [len(batches)].
    """

    def one_step(arrays, batch):
        return train_step(graphdef, arrays, batch, key)

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
