"""Tiled, sharded similarity engine shared by the contrastive losses.

``compare`` reduces each row of a similarity matrix to its log-sum-exp without storing
the matrix: memory is O(n d), the result is exact on any number of devices, and the
gradient is a custom VJP. The modules of this package are internal.
"""

from simclr_jax.losses.similarity.algorithms import ALGORITHMS
from simclr_jax.losses.similarity.engine import (
    Found,
    Neighbors,
    Rows,
    compare,
    compare_both,
)

__all__ = ["ALGORITHMS", "Found", "Neighbors", "Rows", "compare", "compare_both"]
