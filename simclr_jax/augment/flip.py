"""Mirror images."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from simclr_jax.augment import operation, planes
from simclr_jax.core import checks, types


class DrawnFlip(NamedTuple):
    """What ``random_horizontal_flip`` draws."""

    flipped: Bool[Array, ""]


def draw_flip(
    key: types.PRNGKey, image: types.Image | types.PaddedImages, *, probability: float
) -> DrawnFlip:
    """Draws whether left and right are exchanged; see ``random_horizontal_flip``."""
    del image
    checks.check_in_range("probability", probability, low=0.0, high=1.0)
    return DrawnFlip(flipped=jax.random.bernoulli(key, probability))


@operation.draws(draw_flip, label="flip")
def random_horizontal_flip(
    key: types.PRNGKey, image: types.Image, *, probability: float = 0.5
) -> types.Image:
    """Exchanges left and right with the given probability.

    After a crop, the crop's own ``flip_probability`` does the same for less: it mirrors
    a small matrix in place of the image.

    Args:
      key: PRNG key.
      image: float image.
      probability: of a flip, in [0, 1].

    Returns:
      The image or its mirror image.

    Raises:
      UserError: if ``probability`` is outside [0, 1].
    """
    drawn = draw_flip(key, image, probability=probability)
    choose = lambda band: jnp.where(drawn.flipped, band[:, ::-1], band)
    return planes.map_planes(choose, image)
