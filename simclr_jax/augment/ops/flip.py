"""Random horizontal flip."""

import dataclasses
from typing import Any, ClassVar, NamedTuple, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from simclr_jax.augment import planes, transform
from simclr_jax.core import checks, types


class FlipParams(NamedTuple):
    """Parameters of ``RandomHorizontalFlip``."""

    flipped: Bool[Array, ""]


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomHorizontalFlip(transform.Transform):
    """Exchanges left and right with a given probability.

    After a crop, use the ``flip_probability`` of ``RandomResizedCrop`` instead: it
    mirrors a small matrix of weights rather than the image.

    Attributes:
      probability: of a flip, in [0, 1].

    Raises:
      UserError: if ``probability`` is outside [0, 1].

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> flip = augment.RandomHorizontalFlip(probability=1.0)
      >>> flip(jax.random.key(0), jnp.asarray([[[0.0], [1.0]]]))[0, :, 0]
      Array([1., 0.], dtype=float32)
    """

    probability: float = 0.5

    label: ClassVar[str] = "flip"

    def __post_init__(self) -> None:
        """Checks the options."""
        checks.check_in_range("probability", self.probability, low=0.0, high=1.0)

    def sample(self, key: types.PRNGKey, image: Any, /) -> FlipParams:
        """Samples whether left and right are exchanged."""
        del image
        return FlipParams(flipped=jax.random.bernoulli(key, self.probability))

    def apply(self, params: FlipParams, image: types.Image, /) -> types.Image:
        """Returns the image or its mirror image."""
        choose = lambda band: jnp.where(params.flipped, band[:, ::-1], band)
        return planes.map_planes(choose, image)
