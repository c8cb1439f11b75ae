"""Layers of encoders and heads: ``flax.nnx`` modules and pure functions."""

from simclr_jax.nn.convolution import conv2d, max_pool_2x2
from simclr_jax.nn.layers import Conv, ConvNormReLU, ResidualBlock
from simclr_jax.nn.normalization import BatchNorm, batch_norm, set_batch_norm_groups
from simclr_jax.nn.pointwise import pointwise_batch_norm
from simclr_jax.nn.pooling import batch_norm_max_pool, max_pool_3x3
from simclr_jax.nn.projection import (
    HEADS,
    ProjectionHead,
    build_head,
    check_same_width,
)
from simclr_jax.nn.rematerialization import REMAT, Block, set_remat
from simclr_jax.nn.shuffle import shuffle_rows, unshuffle_rows

__all__ = [
    "HEADS",
    "REMAT",
    "BatchNorm",
    "Block",
    "Conv",
    "ConvNormReLU",
    "ProjectionHead",
    "ResidualBlock",
    "batch_norm",
    "batch_norm_max_pool",
    "build_head",
    "check_same_width",
    "conv2d",
    "max_pool_2x2",
    "max_pool_3x3",
    "pointwise_batch_norm",
    "set_batch_norm_groups",
    "set_remat",
    "shuffle_rows",
    "unshuffle_rows",
]
