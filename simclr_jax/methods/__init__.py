"""Methods: what trains an encoder, each one file behind one small interface."""

from simclr_jax.methods.base import METHODS, Method, Outputs, feature_std, stack_views
from simclr_jax.methods.byol import BYOL
from simclr_jax.methods.simclr import SimCLR
from simclr_jax.methods.supcon import SupCon
from simclr_jax.methods.target import EXCEPT_TARGET, Target, copy_of, cosine_decay

__all__ = [
    "BYOL",
    "EXCEPT_TARGET",
    "METHODS",
    "Method",
    "Outputs",
    "SimCLR",
    "SupCon",
    "Target",
    "copy_of",
    "cosine_decay",
    "feature_std",
    "stack_views",
]
