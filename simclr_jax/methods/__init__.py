"""Self-supervised methods: SimCLR, SupCon, BYOL and MoCo, one file each.

``base.Method`` is the interface and says how to add a method; ``METHODS`` is the
registry by name.
"""

from simclr_jax.methods.base import (
    METHODS,
    Method,
    Outputs,
    embed_together,
    encoder_keys,
    feature_std,
)
from simclr_jax.methods.byol import BYOL
from simclr_jax.methods.moco import MoCo
from simclr_jax.methods.simclr import SimCLR
from simclr_jax.methods.supcon import SupCon
from simclr_jax.methods.target import EXCEPT_TARGET, Target, copy_of, cosine_decay
from simclr_jax.methods.view_pair import ViewPairMethod

__all__ = [
    "BYOL",
    "EXCEPT_TARGET",
    "METHODS",
    "Method",
    "MoCo",
    "Outputs",
    "SimCLR",
    "SupCon",
    "Target",
    "ViewPairMethod",
    "copy_of",
    "cosine_decay",
    "embed_together",
    "encoder_keys",
    "feature_std",
]
