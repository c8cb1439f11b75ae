"""Images as tuples of planes, one for each channel.

Three channels side by side do not fill a vector register of a CPU. If each operation
ends by stacking planes and the next begins by separating them, XLA removes both steps
and the chain runs on planes.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def split(image: jax.Array) -> tuple[jax.Array, ...]:
    """Returns the channels of an image [h w c], each [h w]."""
    return tuple(image[..., channel] for channel in range(image.shape[-1]))


def map_planes(function: Callable[..., jax.Array], *images: jax.Array) -> jax.Array:
    """Applies a function to each channel separately.

    Args:
      function: takes planes [h w], one from each image, and returns a plane.
      *images: images with equal numbers of channels.

    Returns:
      The image [h' w' c] of the results.
    """
    made = map(function, *map(split, images))
    return jnp.stack(list(made), axis=-1)


def apply_if(
    predicate: jax.Array, function: Callable[[jax.Array], jax.Array], image: jax.Array
) -> jax.Array:
    """Returns ``function(image)`` if the predicate holds, else the image.

    Under ``vmap`` both are evaluated and one is selected, plane by plane. In a loop
    over single images only the chosen branch is executed.

    Args:
      predicate: a boolean scalar.
      function: must keep the shape and the dtype.
      image: of shape [h w c].

    Returns:
      The image [h w c].
    """
    apply = lambda *bands: split(function(jnp.stack(bands, axis=-1)))
    keep = lambda *bands: bands
    return jnp.stack(jax.lax.cond(predicate, apply, keep, *split(image)), axis=-1)
