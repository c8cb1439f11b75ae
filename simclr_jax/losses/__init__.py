"""Loss functions: pure functions of embeddings that return a float32 scalar.

``ntxent`` is the loss of SimCLR, ``supcon`` of SupCon, ``info_nce`` of MoCo and CLIP,
``negative_cosine`` of BYOL and SimSiam. The ``..._with_metrics`` variants also return
diagnostics. The ``..._reference`` variants are dense, follow the papers' equations line
by line, and serve as the oracle in tests.
"""

from simclr_jax.losses.bounds import chance_loss, floor_loss
from simclr_jax.losses.contrastive import ntxent, ntxent_with_metrics
from simclr_jax.losses.cosine import negative_cosine
from simclr_jax.losses.query_key import info_nce, info_nce_with_metrics
from simclr_jax.losses.reference import ntxent_reference, supcon_reference
from simclr_jax.losses.similarity import ALGORITHMS
from simclr_jax.losses.supervised_contrastive import supcon, supcon_with_metrics

__all__ = [
    "ALGORITHMS",
    "chance_loss",
    "floor_loss",
    "info_nce",
    "info_nce_with_metrics",
    "negative_cosine",
    "ntxent",
    "ntxent_reference",
    "ntxent_with_metrics",
    "supcon",
    "supcon_reference",
    "supcon_with_metrics",
]
