"""The engine under the contrastive losses: rows compared with columns, by tiles.

Tiled (memory O(n d)), exact on any number of devices, with a gradient of its own. The
losses use what is exported here; the modules of this package are its internals.
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
