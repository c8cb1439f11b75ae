"""Self-supervised learning of image representations in JAX and Flax NNX.

``fit`` trains a method, ``load`` loads a trained encoder. Both functions and the
packages are imported on first use, so ``import simclr_jax`` takes no longer than
``import jax``.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simclr_jax.assembly import fit, load

__version__ = "0.1.0"

_FUNCTIONS = {"fit": "assembly", "load": "assembly"}

_PACKAGES = (
    "aot",
    "assembly",
    "augment",
    "core",
    "data",
    "encoders",
    "evaluation",
    "losses",
    "methods",
    "nn",
    "optim",
    "plots",
    "training",
)

__all__ = ["__version__", "fit", "load", *_PACKAGES]


def __getattr__(name: str):
    if name in _FUNCTIONS:
        package = importlib.import_module(f"simclr_jax.{_FUNCTIONS[name]}")
        return getattr(package, name)
    if name in _PACKAGES:
        return importlib.import_module(f"simclr_jax.{name}")
    choices = ", ".join((*_FUNCTIONS, *_PACKAGES))
    raise AttributeError(
        f"module 'simclr_jax' has no attribute {name!r}; it has {choices}"
    )


def __dir__() -> list[str]:
    return sorted(__all__)
