"""Putting augmentations together, as values that compare and hash by content.

An augmentation is any ``(key, image[h w c]) -> image[h' w' c]``. Those made here are
frozen and comparable, so that one may be a static argument of ``jax.jit``: two equal
recipes share one compilation.
"""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from simclr_jax.core import checks, errors, registry

Augmentation = Callable[[jax.Array, jax.Array], jax.Array]
"""``(key, image[h w c] in [0, 1]) -> image[h' w' c]``: pure, of fixed shape."""


@dataclasses.dataclass(frozen=True)
class Bound:
    """An operation with its options; see ``bind``."""

    operation: Callable[..., jax.Array]
    options: tuple[tuple[str, Any], ...]

    def __call__(self, key: jax.Array, image: jax.Array, /) -> jax.Array:
        """Applies the operation."""
        return self.operation(key, image, **dict(self.options))

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options)
        return f"{self.operation.__name__}({options})"


@dataclasses.dataclass(frozen=True)
class Chain:
    """Stages one after the other; see ``chain``."""

    stages: tuple[Augmentation, ...]

    def __call__(self, key: jax.Array, image: jax.Array, /) -> jax.Array:
        """Applies the stages in order."""
        if not self.stages:
            return image
        keys = jax.random.split(key, len(self.stages))
        for stage, stage_key in zip(self.stages, keys, strict=True):
            image = stage(stage_key, image)
        return image

    def __repr__(self) -> str:
        return " > ".join(map(repr, self.stages)) or "nothing"


@dataclasses.dataclass(frozen=True)
class WithProbability:
    """An augmentation or nothing; see ``with_probability``."""

    augmentation: Augmentation
    probability: float

    def __call__(self, key: jax.Array, image: jax.Array, /) -> jax.Array:
        """Applies the augmentation or returns the image."""
        choice_key, augment_key = jax.random.split(key)
        augmented = self.augmentation(augment_key, image)
        if augmented.shape != image.shape:
            raise errors.UserError(
                "with_probability needs an augmentation that keeps the shape; "
                f"{self.augmentation!r} turned {image.shape} into {augmented.shape}."
            )
        is_applied = jax.random.bernoulli(choice_key, self.probability)
        return jnp.where(is_applied, augmented, image)

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
    check_options(operation.__name__, operation, options)
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
      An augmentation that returns the augmented image or the image itself. Both are
      computed: under ``vmap`` a choice is a selection.

    Raises:
      UserError: if ``probability`` is outside [0, 1].
    """
    checks.check_in_range("probability", probability, low=0.0, high=1.0)
    return WithProbability(augmentation, probability)


def check_options(name: str, function: Callable[..., Any], options: Any) -> None:
    """Raises unless every option is a keyword-only argument of ``function``.

    Args:
      name: what to call the function in the error.
      function: the function that will receive the options.
      options: their names.

    Raises:
      UserError: lists the options that exist and the nearest match.
    """
    parameters = inspect.signature(function).parameters.values()
    known = [item.name for item in parameters if item.kind is item.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            raise errors.UserError(
                registry.unknown_name(f"option of {name}", option, known)
            )
