"""Contrastive learning of image representations in JAX and Flax NNX.

The rooms of the house are imported when they are first used, so that
``import simclr_jax`` costs next to nothing beyond ``import jax``.
"""

import importlib

__version__ = "0.1.0"

_ROOMS = (
    "aot",
    "augment",
    "core",
    "data",
    "encoders",
    "evaluation",
    "heads",
    "losses",
    "methods",
    "optim",
    "plots",
    "training",
)

__all__ = ["__version__", *_ROOMS]


def __getattr__(name: str):
    if name in _ROOMS:
        return importlib.import_module(f"simclr_jax.{name}")
    raise AttributeError(
        f"module 'simclr_jax' has no attribute {name!r}; it has {', '.join(_ROOMS)}"
    )


def __dir__() -> list[str]:
    return sorted(__all__)
