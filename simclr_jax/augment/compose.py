"""Putting augmentations together, as values that compare and hash by content.

An augmentation is any ``(key, image[h w c]) -> image[h' w' c]``. Those made here are
frozen and comparable, so that one may be a static argument of ``jax.jit``: two equal
recipes share one compilation.

A composition splits its key in one method, used by the call and by ``parameters``: what
a view reports to have drawn is what it has drawn.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from simclr_jax.augment import operation as operations
from simclr_jax.augment import planes
from simclr_jax.core import checks, errors, registry, types

Augmentation = Callable[[jax.Array, Any], jax.Array]
"""``(key, image[h w c] in [0, 1]) -> image[h' w' c]``: pure, of fixed shape.

One that begins with a crop or a resize takes a ``types.PaddedImages`` in place of an image.
"""

Recipe = Augmentation | tuple[Augmentation, ...]
"""An augmentation makes two views of each image; a tuple makes one view for each of its
members."""

Parameters = dict[str, jax.Array]
"""Float32 scalars by name, in the order in which they are used."""


@dataclasses.dataclass(frozen=True)
class Bound:
    """An operation with its options; see ``bind``."""

    operation: Callable[..., jax.Array]
    options: tuple[tuple[str, Any], ...]

    def __call__(self, key: jax.Array, image: Any, /) -> jax.Array:
        """Applies the operation."""
        check_takes(self, image)
        return self.operation(key, image, **dict(self.options))

    def parameters(self, key: jax.Array, image: Any, /) -> Parameters:
        """Returns what a call with the same arguments draws."""
        return operations.drawn_by(self.operation, key, image, dict(self.options))

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options)
        return f"{self.operation.__name__}({options})"


@dataclasses.dataclass(frozen=True)
class Chain:
    """Stages one after the other; see ``chain``."""

    stages: tuple[Augmentation, ...]

    def __call__(self, key: jax.Array, image: Any, /) -> jax.Array:
        """Applies the stages in order."""
        check_takes(self, image)
        for stage, stage_key in self._keyed_stages(key):
            check_takes(stage, image)
            image = stage(stage_key, image)
        return image

    def parameters(self, key: jax.Array, image: Any, /) -> Parameters:
        """Returns what a call with the same arguments draws.

        A name that a second stage reports again gets a number: ``flipped_2``.
        """
        drawn: Parameters = {}
        for stage, stage_key in self._keyed_stages(key):
            check_takes(stage, image)
            for name, value in drawn_parameters(stage_key, image, stage).items():
                drawn[_unused_name(name, drawn)] = value
            # After the first stage only the shape can matter to what is drawn.
            shape = jax.eval_shape(stage, stage_key, image)
            image = jnp.zeros(shape.shape, shape.dtype)
        return drawn

    def _keyed_stages(self, key):
        keys = jax.random.split(key, len(self.stages)) if self.stages else ()
        return zip(self.stages, keys, strict=True)

    def __repr__(self) -> str:
        return " > ".join(map(repr, self.stages)) or "nothing"


@dataclasses.dataclass(frozen=True)
class WithProbability:
    """An augmentation or nothing; see ``with_probability``."""

    augmentation: Augmentation
    probability: float

    def __call__(self, key: jax.Array, image: Any, /) -> jax.Array:
        """Applies the augmentation or returns the image."""
        check_takes(self, image)
        is_applied, augment_key = self._draw(key)
        augment = functools.partial(self._checked, augment_key)
        return planes.apply_if(is_applied, augment, image)

    def _checked(self, key, image):
        augmented = self.augmentation(key, image)
        if augmented.shape != image.shape:
            raise errors.UserError(
                "with_probability needs an augmentation that keeps the shape; "
                f"{self.augmentation!r} turned {image.shape} into {augmented.shape}."
            )
        return augmented

    def parameters(self, key: jax.Array, image: Any, /) -> Parameters:
        """Returns what a call with the same arguments draws.

        The numbers of the augmentation are reported whether it is applied or not;
        ``..._applied`` (``jitter_applied``) says which.
        """
        is_applied, augment_key = self._draw(key)
        name = f"{operations.label_of(_function_of(self.augmentation))}_applied"
        drawn = {name: is_applied.astype(jnp.float32)}
        return drawn | drawn_parameters(augment_key, image, self.augmentation)

    def _draw(self, key):
        choice_key, augment_key = jax.random.split(key)
        return jax.random.bernoulli(choice_key, self.probability), augment_key

    def __repr__(self) -> str:
        return f"{self.augmentation!r} with p = {self.probability}"


def bind(operation: Callable[..., jax.Array], **options: Any) -> Bound:
    """Fixes the options of an operation ``(key, image, *, ...) -> image``.

    Args:
      operation: a function of this package, or any module-level one of that form.
      **options: its keyword arguments; lists become tuples.

    Returns:
      An augmentation ``(key, image) -> image``, equal to any other with the same
      operation and options.

    Raises:
      UserError: if the operation has no such option; lists those it has.
    """
    registry.check_options(operation.__name__, operation, options)
    frozen = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in options.items()
    }
    return Bound(operation, tuple(sorted(frozen.items())))


def chain(*augmentations: Augmentation) -> Chain:
    """Applies augmentations one after the other, each with a key of its own.

    Args:
      *augmentations: the stages. The key is split once, into one for each stage.

    Returns:
      An augmentation.
    """
    return Chain(augmentations)


def with_probability(augmentation: Augmentation, probability: float) -> WithProbability:
    """Applies an augmentation to a random share of the images.

    Args:
      augmentation: must keep the shape of the image.
      probability: in [0, 1].

    Returns:
      An augmentation that returns the augmented image or the image itself. Under
      ``vmap`` both are computed, for there a choice is a selection.

    Raises:
      UserError: if ``probability`` is outside [0, 1].
    """
    checks.check_in_range("probability", probability, low=0.0, high=1.0)
    return WithProbability(augmentation, probability)


def drawn_parameters(
    key: types.PRNGKey,
    image: types.Image | types.PaddedImages,
    augmentation: Augmentation,
) -> Parameters:
    """Returns the random numbers that ``augmentation(key, image)`` draws.

    Nothing is drawn twice and nothing is stored: the same functions are called with the
    same keys. For a caption under a view, or to repeat a view by hand.

    Args:
      key: the key that the augmentation is given.
      image: the image or canvas that it is given.
      augmentation: a composition, or a function of this package.

    Returns:
      Float32 scalars by name, in the order of the stages: ``crop_top``, ``crop_left``,
      ``crop_height`` and ``crop_width`` in pixels; ``brightness`` (factor or summand),
      ``contrast`` and ``saturation`` (factors), ``hue`` (turn in circles),
      ``jitter_order`` (which of the 24 orders, see ``jitter.ORDERS``), ``blur_sigma``
      in pixels; zero or one for ``flipped``, ``jitter_applied``, ``grayscale``,
      ``blurred`` and ``solarized``. Functions that say nothing of what they draw add
      nothing.
    """
    if isinstance(augmentation, Bound | Chain | WithProbability):
        return augmentation.parameters(key, image)
    return operations.drawn_by(augmentation, key, image, {})


def check_takes(augmentation: Augmentation, image: object) -> None:
    """Raises if the image is a canvas that the augmentation cannot read.

    Args:
      augmentation: what the image is about to be given to.
      image: an image or a canvas.

    Raises:
      UserError: names the augmentation and says what to begin with.
    """
    first = augmentation
    while isinstance(first, Chain) and first.stages:
        first = first.stages[0]
    if not operations.can_take_canvas(_function_of(first)):
        operations.check_not_canvas(first, image)


def _function_of(augmentation: Augmentation) -> Callable[..., Any]:
    return augmentation.operation if isinstance(augmentation, Bound) else augmentation


def _unused_name(name: str, taken: Parameters) -> str:
    candidates = (name, *(f"{name}_{number}" for number in range(2, len(taken) + 3)))
    return next(candidate for candidate in candidates if candidate not in taken)
