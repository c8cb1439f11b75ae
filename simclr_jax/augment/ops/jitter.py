"""Random color transforms: jitter, grayscale, solarize."""

import dataclasses
import itertools
from typing import Any, ClassVar, NamedTuple, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from simclr_jax.augment import planes, transform
from simclr_jax.augment.ops import color
from simclr_jax.core import checks, errors, registry, types

# The four operations in any order, without evaluating all four at each position.
#
# Hue and saturation commute (one rotates H, the other scales C of the same HSV
# coordinates); brightness and contrast do not. So each of the 24 orders is one way of
# filling the five slots
#
#     color, level, color, level, color
#
# where a "level" slot holds brightness or contrast (both scale and shift each channel)
# and a "color" slot holds hue, saturation, both or neither (identity parameters). A
# table gives the slot of each operation for each order. This takes 3 + 2 cheap
# evaluations, whereas a vmapped `lax.switch` at four positions takes 16.

ORDERS = tuple(itertools.permutations(("brightness", "contrast", "saturation", "hue")))
"""The 24 orders of the four operations; ``jitter_order`` is an index into them."""

FAMILIES = {"v1": "additive", "v2": "multiplicative"}
"""Brightness mode of the jitter in each version of SimCLR."""


def slot_table() -> np.ndarray:
    """Returns [is contrast first, slot of saturation, slot of hue] for each order."""
    rows = []
    for order in ORDERS:
        levels = [order.index("brightness"), order.index("contrast")]
        slots = [
            sum(level < order.index(name) for level in levels)
            for name in ("saturation", "hue")
        ]
        rows.append([levels[1] < levels[0], *slots])
    return np.asarray(rows, np.int32)


_SLOTS = slot_table()


class JitterParams(NamedTuple):
    """Parameters of ``ColorJitter``, in the units of ``color.adjust_...``.

    Attributes:
      brightness: factor (family v2) or summand (v1).
      contrast: factor.
      saturation: factor.
      hue: rotation as a fraction of the circle.
      jitter_order: index into ``ORDERS``.
    """

    brightness: Float[Array, ""]
    contrast: Float[Array, ""]
    saturation: Float[Array, ""]
    hue: Float[Array, ""]
    jitter_order: Int[Array, ""]


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class ColorJitter(transform.Transform):
    """Changes brightness, contrast, saturation and hue by random amounts.

    The image is clipped to [0, 1] after each of the four, as in the original code. An
    image with one channel has no saturation or hue: these two are skipped.

    Attributes:
      brightness: family v2: the factor is uniform in [max(0, 1 - brightness),
        1 + brightness]; v1: the summand is uniform in [-brightness, brightness].
      contrast: the factor is uniform in [max(0, 1 - contrast), 1 + contrast].
      saturation: the factor is uniform in [max(0, 1 - saturation), 1 + saturation].
      hue: the rotation is uniform in [-hue, hue] of the circle; at most 0.5.
      order: ``"random"``, each of the 24 orders equally likely (the released code), or
        ``"fixed"``, the order of these attributes (the paper's listing).
      family: ``"v1"``, additive brightness as in SimCLR's paper, or ``"v2"``,
        multiplicative brightness as in SimCLRv2 and the released code.

    Raises:
      UserError: if an amount is out of range or a name unknown; on a call if saturation
        or hue change and the image has neither one nor three channels.

    References:
      Chen et al., 2020, appendix A. https://arxiv.org/abs/2002.05709

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> jitter = augment.ColorJitter(
      ...     brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2
      ... )
      >>> image = jnp.full((8, 8, 3), 0.5)
      >>> params = jitter.sample(jax.random.key(0), image)
      >>> jitter.apply(params, image).shape
      (8, 8, 3)
    """

    brightness: float
    contrast: float
    saturation: float = 0.0
    hue: float = 0.0
    order: str = "random"
    family: str = "v2"

    label: ClassVar[str] = "jitter"

    def __post_init__(self) -> None:
        """Checks the options."""
        color.check_amount("brightness", self.brightness)
        color.check_amount("contrast", self.contrast)
        color.check_amount("saturation", self.saturation)
        color.check_amount("hue", self.hue, high=0.5)
        if self.order not in ("random", "fixed"):
            raise errors.UserError(
                f"order must be 'random' or 'fixed'; got {self.order!r}."
            )
        registry.lookup("jitter family", self.family, FAMILIES)

    def sample(self, key: types.PRNGKey, image: Any, /) -> JitterParams:
        """Samples the amounts and the order."""
        del image
        order_key, amount_key = jax.random.split(key)
        draws = jax.random.uniform(amount_key, (4,), minval=-1.0)
        index = jnp.int32(0)
        if self.order == "random":
            index = jax.random.randint(order_key, (), 0, len(ORDERS))
        bright = self.brightness * draws[0]
        if FAMILIES[self.family] == "multiplicative":
            bright = _factor(draws[0], self.brightness)
        return JitterParams(
            brightness=bright,
            contrast=_factor(draws[1], self.contrast),
            saturation=_factor(draws[2], self.saturation),
            hue=self.hue * draws[3],
            jitter_order=index,
        )

    def apply(self, params: JitterParams, image: types.Image, /) -> types.Image:
        """Returns the image in [0, 1] with its dtype."""
        has_color = image.shape[-1] != 1 and (self.saturation > 0.0 or self.hue > 0.0)
        if has_color:
            color.check_three_channels("saturation or hue of ColorJitter", image)
        slots = _slots(params, self.family)
        bands = planes.split(image)
        if has_color and self.order == "random":
            bands = _change_color(bands, jax.tree.map(lambda x: x[0], slots))

        def change(bands, slot):
            bands = _change_level(bands, slot)
            return (_change_color(bands, slot) if has_color else bands), None

        # A loop keeps the slots separate: XLA on a CPU would fuse them and evaluate the
        # first ones again for every use in the last.
        bands, _ = jax.lax.scan(change, bands, jax.tree.map(lambda x: x[1:], slots))
        return jnp.stack(bands, axis=-1)


class GrayscaleParams(NamedTuple):
    """Parameters of ``RandomGrayscale``."""

    grayscale: Bool[Array, ""]


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomGrayscale(transform.Transform):
    """Replaces the colors by their luma with a given probability.

    An image with one channel is returned unchanged.

    Attributes:
      probability: in [0, 1].

    Raises:
      UserError: if ``probability`` is outside [0, 1]; on a call if the image has
        neither one nor three channels.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> gray = augment.RandomGrayscale(probability=0.2)
      >>> gray(jax.random.key(0), jnp.ones((8, 8, 3))).shape
      (8, 8, 3)
    """

    probability: float = 0.2

    label: ClassVar[str] = "grayscale"

    def __post_init__(self) -> None:
        """Checks the options."""
        checks.check_in_range("probability", self.probability, low=0.0, high=1.0)

    def sample(self, key: types.PRNGKey, image: Any, /) -> GrayscaleParams:
        """Samples whether the colors are removed."""
        del image
        return GrayscaleParams(grayscale=jax.random.bernoulli(key, self.probability))

    def apply(self, params: GrayscaleParams, image: types.Image, /) -> types.Image:
        """Returns the gray image or the image, with the same shape."""
        choose = lambda gray, band: jnp.where(params.grayscale, gray, band)
        return planes.map_planes(choose, color.to_grayscale(image), image)


class SolarizeParams(NamedTuple):
    """Parameters of ``RandomSolarize``."""

    solarized: Bool[Array, ""]


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomSolarize(transform.Transform):
    """Inverts every value at or above a threshold with a given probability.

    Attributes:
      threshold: in [0, 1].
      probability: in [0, 1]; BYOL uses 0.2 for the second view and 0 for the first.

    Raises:
      UserError: if ``threshold`` or ``probability`` is outside [0, 1].

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> solarize = augment.RandomSolarize(probability=1.0)
      >>> solarize(jax.random.key(0), jnp.asarray([[[0.25], [1.0]]]))[0, :, 0]
      Array([0.25, 0.  ], dtype=float32)
    """

    threshold: float = 0.5
    probability: float = 0.2

    label: ClassVar[str] = "solarize"

    def __post_init__(self) -> None:
        """Checks the options."""
        checks.check_in_range("threshold", self.threshold, low=0.0, high=1.0)
        checks.check_in_range("probability", self.probability, low=0.0, high=1.0)

    def sample(self, key: types.PRNGKey, image: Any, /) -> SolarizeParams:
        """Samples whether the bright values are inverted."""
        del image
        return SolarizeParams(solarized=jax.random.bernoulli(key, self.probability))

    def apply(self, params: SolarizeParams, image: types.Image, /) -> types.Image:
        """Returns the solarized image or the image."""
        choose = lambda new, band: jnp.where(params.solarized, new, band)
        changed = color.solarize(image, threshold=self.threshold)
        return planes.map_planes(choose, changed, image)


class _Slots(NamedTuple):
    """Parameters of three (level, color) pairs, each of shape [3]."""

    scale: jax.Array
    shift: jax.Array
    mean_shift: jax.Array
    turn: jax.Array
    saturation: jax.Array


def _slots(params, family):
    """Returns the slots; a slot without an operation has identity parameters."""
    contrast_first, saturation_slot, hue_slot = jnp.asarray(_SLOTS)[params.jitter_order]
    slots = jnp.arange(3)
    is_contrast = slots == jnp.where(contrast_first == 1, 1, 2)
    is_brightness = slots == jnp.where(contrast_first == 1, 2, 1)
    is_factor = FAMILIES[family] == "multiplicative"
    bright = jnp.where(is_brightness, params.brightness, 1.0 if is_factor else 0.0)
    return _Slots(
        scale=jnp.where(is_contrast, params.contrast, bright if is_factor else 1.0),
        shift=jnp.zeros(3) if is_factor else bright,
        mean_shift=jnp.where(is_contrast, 1.0 - params.contrast, 0.0),
        turn=jnp.where(slots == hue_slot, params.hue, 0.0),
        saturation=jnp.where(slots == saturation_slot, params.saturation, 1.0),
    )


def _factor(draw, amount):
    """Maps a draw uniform in [-1, 1] to [max(0, 1 - amount), 1 + amount]."""
    if amount <= 1.0:
        return 1.0 + amount * draw
    return (1.0 + amount) * (0.5 + 0.5 * draw)


def _change_level(bands, slot):
    """Applies contrast or brightness: both scale and shift each channel."""

    def change(band):
        wide = band.astype(jnp.float32)
        shift = slot.shift + slot.mean_shift * jnp.mean(wide)
        return jnp.clip(wide * slot.scale + shift, 0.0, 1.0).astype(band.dtype)

    return tuple(map(change, bands))


def _change_color(bands, slot):
    """Changes hue and saturation; in a loop over images an identity slot is skipped."""
    return jax.lax.cond(
        (slot.turn != 0.0) | (slot.saturation != 1.0),
        lambda *bands: color.turn_and_saturate(bands, slot.turn, slot.saturation),
        lambda *bands: bands,
        *bands,
    )
