"""Pure functions of arrays: the loss in nats and what is read beside it."""

from simclr_jax.losses.bounds import chance_loss, floor_loss
from simclr_jax.losses.contrastive import ntxent, ntxent_with_metrics
from simclr_jax.losses.reference import ntxent_reference
from simclr_jax.losses.schedules import SCHEDULES

__all__ = [
    "SCHEDULES",
    "chance_loss",
    "floor_loss",
    "ntxent",
    "ntxent_reference",
    "ntxent_with_metrics",
]
