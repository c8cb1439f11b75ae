"""Reading checkpoints without a config: encoders to use, arrays to start from."""

from simclr_jax.assembly.checkpoints.loaded import LoadedEncoder, load
from simclr_jax.assembly.checkpoints.saved import save_checkpoint

__all__ = ["LoadedEncoder", "load", "save_checkpoint"]
