"""Batches larger than memory: one micro-batch after the other, with the exact gradient.

A contrastive loss looks at all embeddings of a batch at once, so it is no mean of the
losses of parts. But embeddings are small. Gao et al. 2021 ("Scaling Deep Contrastive
Learning Batch Size under Memory Limited Setup", https://arxiv.org/abs/2101.06983,
algorithm 1) embed every micro-batch and forget how, compute the loss of all embeddings
and its gradient with respect to them, and then embed each micro-batch once more to
carry that gradient to the parameters. Here the first and the last part are a scan and
its transpose, so whoever differentiates the loss need not know.
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
    """Returns ``method.forward`` of a batch, in micro-batches where that is asked for.

    Args:
      method: a ``methods.Method``.
      batch: the whole batch.
      keys: a key for each image, shape [b].
      execution: its ``accumulate`` is the number of micro-batches.

    Returns:
      The outputs of the whole batch.

    Raises:
      UserError: if ``accumulate`` times the devices does not divide the batch, or the
        method writes what only ``after_update`` may write.
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
    """Applies a function of modules and a batch to every micro-batch, in a scan.

    Micro-batch i holds the images i, i + k, i + 2k, ... of the batch, k being the
    number of micro-batches: of a batch that is split over devices every device then
    has its part of each micro-batch already. The outputs are in the order of the batch.

    Nothing that ``function`` computes is kept but its outputs: reverse-mode
    differentiation runs it once more on each micro-batch, one third more work for the
    memory of one micro-batch.

    What ``function`` writes into the modules:

    * ``nnx.BatchStat``: every micro-batch starts from the statistics of before, and
      the mean of what the k of them leave is kept. As a running average is linear in
      the new value, that is one update with the mean of the micro-batches' statistics.
      The second run changes nothing, and no gradient flows through them.
    * ``nnx.RngState``: handed on from one micro-batch to the next.

    Args:
      modules: what the function reads and writes; its parameters are differentiated
        by the caller, as if there were no scan.
      function: ``(modules, micro_batch) -> outputs``; the outputs are arrays with a
        leading axis b / k.
      batch: a tree of arrays with a leading axis b; keys of images may be among them.
      num_micro_batches: k >= 1, a divisor of b.
      mesh: devices over whose axis ``data`` the batch is split; None: one device.

    Returns:
      The outputs of all images, with a leading axis b.

    Raises:
      UserError: if k times the devices does not divide b, or the function changes a
        variable of another type.
    """
    _check(batch, num_micro_batches, mesh)
    graphdef, *state = nnx.split(modules, nnx.BatchStat, nnx.RngState, ...)
    statistics, random, constant = state
    pieces = jax.tree.map(functools.partial(_split, num_micro_batches), batch)

    # A scan keeps XLA from merging the two runs, so no barriers are needed.
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
    """Raises if a variable was written that the scan would forget."""
    found = dict(nnx.to_flat_state(after))
    for path, variable in nnx.to_flat_state(before):
        if found[path].get_raw_value() is not variable.get_raw_value():
            raise errors.UserError(
                f"{'.'.join(map(str, path))} of type {type(variable).__name__} was "
                "written while a micro-batch was embedded; only nnx.BatchStat and "
                "nnx.RngState may be. Write it after the loss, or do not accumulate."
            )


def _split(count, x):
    return x.reshape(x.shape[0] // count, count, *x.shape[1:])


def _piece(pieces, index):
    take = lambda x: jax.lax.dynamic_index_in_dim(x, index, 1, keepdims=False)
    return jax.tree.map(take, pieces)


def _join(x):
    """Inverts ``_split`` where the micro-batches come first."""
    x = jnp.swapaxes(x, 0, 1)
    return x.reshape(-1, *x.shape[2:])


def _mean(x):
    return jnp.mean(x, axis=0).astype(x.dtype)
