"""Gradient accumulation for contrastive losses, with the exact full-batch gradient.

A contrastive loss compares all embeddings of a batch, so it is not the mean of the
losses of micro-batches. The embeddings are small, however, so they all fit in memory.
Gao et al. 2021 ("Scaling Deep Contrastive Learning Batch Size under Memory Limited
Setup", https://arxiv.org/abs/2101.06983, algorithm 1) therefore

1. embed every micro-batch and discard the activations,
2. compute the loss of all embeddings and its gradient with respect to them,
3. embed each micro-batch again to propagate that gradient to the parameters.

Here, step 1 is a ``jax.lax.scan`` and step 3 is its transpose, so the caller only
differentiates the loss as usual.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh

from simclr_jax.core import checks, errors, sharding, types


def forward(
    method: Any,
    batch: types.Batch,
    keys: jax.Array,
    *,
    execution: sharding.Execution,
) -> dict[str, jax.Array]:
    """Applies ``method.forward`` to a batch, in ``execution.accumulate`` micro-batches.

    Args:
      method: a ``methods.Method``.
      batch: the whole batch.
      keys: one key per image, shape [b].
      execution: ``accumulate`` is the number of micro-batches.

    Returns:
      The outputs of the whole batch.

    Raises:
      UserError: if the batch size is not a multiple of ``accumulate`` times the number
        of devices, or if ``forward`` writes a variable that only ``after_update`` may
        write.
    """
    if execution.accumulate == 1:
        return method.forward(batch, keys)
    return map_micro_batches(
        method,
        lambda model, part: model.forward(*part),
        (batch, keys),
        num_micro_batches=execution.accumulate,
        mesh=execution.mesh,
    )


def map_micro_batches(
    modules: nnx.Module,
    function: Callable[[Any, Any], Any],
    batch: Any,
    *,
    num_micro_batches: int,
    mesh: Mesh | None = None,
) -> Any:
    """Applies a function to each of k micro-batches of a batch, in a scan.

    Micro-batch i consists of the images i, i + k, i + 2k, ... of the batch. If the
    batch is sharded over devices, each device then already has its share of every
    micro-batch. The outputs are in the order of the batch.

    Only the outputs of ``function`` are stored. Reverse-mode differentiation calls it
    again on each micro-batch: about one third more work, for the activation memory of
    a single micro-batch.

    Variables that ``function`` may update:

    * ``nnx.BatchStat``: every micro-batch starts from the same statistics, and the mean
      of the k results is stored. Because a running average is linear in the new value,
      this equals one update with the mean of the micro-batch statistics. The repeated
      calls of the backward pass do not update them, and no gradient flows through them.
    * ``nnx.RngState``: passed from one micro-batch to the next.

    Args:
      modules: the modules that the function reads and updates. The caller
        differentiates their parameters as if there were no scan.
      function: ``(modules, micro_batch) -> outputs``, where the outputs are arrays with
        a leading axis of length b / k.
      batch: a tree of arrays with a leading axis of length b; it may contain PRNG keys.
      num_micro_batches: k >= 1, a divisor of b.
      mesh: the batch is sharded over its axis ``data``; None: a single device.

    Returns:
      The outputs for all images, with a leading axis of length b.

    Raises:
      UserError: if b is not a multiple of k times the number of devices, or if the
        function updates a variable of another type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from simclr_jax import training
      >>> layer = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
      >>> images = jnp.ones((8, 3))
      >>> rows = training.map_micro_batches(
      ...     layer, lambda layer, x: layer(x), images, num_micro_batches=4
      ... )
      >>> rows.shape
      (8, 2)
    """
    _check(batch, num_micro_batches, mesh)
    graphdef, *state = nnx.split(modules, nnx.BatchStat, nnx.RngState, ...)
    statistics, random, constant = state
    pieces = jax.tree.map(functools.partial(_split, num_micro_batches), batch)

    # Inside a scan XLA cannot merge the forward and the repeated computation, so the
    # optimization barriers of `prevent_cse` are not needed.
    @functools.partial(
        jax.checkpoint,
        policy=jax.checkpoint_policies.nothing_saveable,
        prevent_cse=False,
    )
    def run(random, index):
        model = nnx.merge(graphdef, statistics, random, constant, copy=True)
        outputs = function(model, sharding.keep_split(_piece(pieces, index), mesh))
        _, new_statistics, random, others = nnx.split(
            model, nnx.BatchStat, nnx.RngState, ...
        )
        _check_unchanged(constant, others)
        new_statistics = jax.lax.stop_gradient(new_statistics)
        return random, (sharding.keep_split(outputs, mesh), new_statistics)

    indices = jnp.arange(num_micro_batches, dtype=jnp.int32)
    random, (outputs, new_statistics) = jax.lax.scan(run, random, indices)
    nnx.update(modules, jax.tree.map(_mean, new_statistics), random)
    return sharding.keep_split(jax.tree.map(_join, outputs), mesh)


def _check(batch, num_micro_batches, mesh):
    checks.check_positive_int("num_micro_batches", num_micro_batches)
    num_devices = 1 if mesh is None else mesh.shape[types.DATA_AXIS]
    checks.check_divisible(
        "the batch size",
        jax.tree.leaves(batch)[0].shape[0],
        by=num_micro_batches * num_devices,
        remedy=f"There are {num_micro_batches} micro-batches on {num_devices} devices.",
    )


def _check_unchanged(before, after):
    """Raises if a variable was updated whose new value the scan would lose."""
    found = dict(nnx.to_flat_state(after))
    for path, variable in nnx.to_flat_state(before):
        if found[path].get_raw_value() is not variable.get_raw_value():
            raise errors.UserError(
                f"{'.'.join(map(str, path))} of type {type(variable).__name__} was "
                "written while a micro-batch was embedded; only nnx.BatchStat and "
                "nnx.RngState may be written there. Write it in after_update, or set "
                "config.execution.accumulate=1."
            )


def _split(count, x):
    return x.reshape(x.shape[0] // count, count, *x.shape[1:])


def _piece(pieces, index):
    take = lambda x: jax.lax.dynamic_index_in_dim(x, index, 1, keepdims=False)
    return jax.tree.map(take, pieces)


def _join(x):
    """Inverts ``_split`` for outputs [micro-batch, image, ...] of the scan."""
    x = jnp.swapaxes(x, 0, 1)
    return x.reshape(-1, *x.shape[2:])


def _mean(x):
    return jnp.mean(x, axis=0).astype(x.dtype)
