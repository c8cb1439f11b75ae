"""Images as planes, one for each channel."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def split(image: jax.Array) -> tuple[jax.Array, ...]:
    """Returns the channels of an image [h w c], each [h w]."""
    return tuple(image[..., channel] for channel in range(image.shape[-1]))


def map_planes(function: Callable[..., jax.Array], *images: jax.Array) -> jax.Array:
    """Applies a function to each channel on its own.

    Three channels side by side fill no vector register of a CPU. When each operation
    ends by stacking planes and the next begins by taking them apart, XLA drops both,
    and the chain runs on planes.

    Args:
      function: takes planes [h w], one of each image, and returns a plane.
      *images: of equal numbers of channels.

    Returns:
      The image [h' w' c] of the results.
    """
    made = map(function, *map(split, images))
    return jnp.stack(list(made), axis=-1)


def apply_if(
    predicate: jax.Array, function: Callable[[jax.Array], jax.Array], image: jax.Array
) -> jax.Array:
    """Returns ``function(image)`` where the predicate holds, else the image.

    Under ``vmap`` both are evaluated and one is selected, plane by plane; an image
    alone, as a loop over images has it, is spared what it does not need.

    Args:
      predicate: a boolean scalar.
      function: keeps the shape and the dtype.
      image: of shape [h w c].

    Returns:
      The image [h w c].
    """
    apply = lambda *bands: split(function(jnp.stack(bands, axis=-1)))
    keep = lambda *bands: bands
    return jnp.stack(jax.lax.cond(predicate, apply, keep, *split(image)), axis=-1)
