"""Resizing by separable kernels: matrix products, or gathered pixels on a CPU."""

from simclr_jax.augment.resizing.resample import resize

__all__ = ["resize"]
