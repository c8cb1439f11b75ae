"""Methods: an encoder, a head and a loss behind one small interface.

A method is an ``nnx.Module`` with

* ``trainable``: the filter of the variables that the optimizer may touch;
* ``embed(images) -> [b d]``: h, for every evaluator;
* ``loss(batch, *, key, step) -> (scalar, metrics)``;
* ``after_update(step)``: what follows an update, such as a moving target.
"""

from simclr_jax.methods.accumulation import map_micro_batches
from simclr_jax.methods.simclr import SimCLR

__all__ = ["SimCLR", "map_micro_batches"]
