"""Heads: features h [n d] to the embeddings z [n d'] that a loss sees."""

from simclr_jax.heads.projection import HEADS, ProjectionHead, build, check_same_width

__all__ = ["HEADS", "ProjectionHead", "build", "check_same_width"]
