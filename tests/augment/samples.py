"""Small recipes by name, and padded images, for several test files."""

import jax
import jax.numpy as jnp

from simclr_jax import augment
from simclr_jax.core import types

SMALL = {
    "byol": {"size": 20},
    "evaluation": {"size": 16},
    "mnist": {"size": 12},
    "moco_v3": {"size": 20},
    "simclr_cifar": {"size": 16},
    "simclr_v1": {"size": 20},
    "simclr_v2": {"size": 20},
    "supervised": {"size": 16},
    "swav": {"sizes": (20, 12), "counts": (2, 3)},
}
"""Options that make every recipe of the catalog cheap; blurs have three taps."""

RANDOM = sorted(set(SMALL) - {"evaluation"})


FAST_TO_COMPILE = {"xla_backend_optimization_level": "0"}
"""LLVM takes most of the time of these tests and affects only roundings."""

views = jax.jit(augment.views, static_argnums=2, compiler_options=FAST_TO_COMPILE)
"""One jitted function for all files, so that each recipe is compiled once."""

IMAGES = (8, 24, 24, 3)
"""Shape of the batch in most tests; one shape, so that compilations are shared."""


def keys(key):
    return augment.sample_keys(key, IMAGES[0])


def small(name, **options):
    return augment.build(name, **SMALL[name], **options)


def pad(rng, image, height, width):
    """Pads a float image with arbitrary values below and to the right."""
    pixels = rng.uniform(-1e4, 1e4, (height, width, image.shape[-1]))
    pixels[: image.shape[0], : image.shape[1]] = image
    size = jnp.asarray(image.shape[:2], jnp.int32)
    return types.PaddedImages(jnp.asarray(pixels, jnp.float32), size)
