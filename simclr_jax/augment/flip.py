"""Mirror images."""

import jax
import jax.numpy as jnp

from simclr_jax.core import checks, types


def random_horizontal_flip(
    key: types.PRNGKey, image: types.Image, *, probability: float = 0.5
) -> types.Image:
    """Exchanges left and right with the given probability.

    Args:
      key: PRNG key.
      image: float image.
      probability: of a flip, in [0, 1].

    Returns:
      The image or its mirror image.

    Raises:
      UserError: if ``probability`` is outside [0, 1].
    """
    checks.check_in_range("probability", probability, low=0.0, high=1.0)
    flip = jax.random.bernoulli(key, probability)
    return jnp.where(flip, image[:, ::-1], image)
