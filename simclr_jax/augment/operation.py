"""What an operation may say of itself: that it takes a canvas, and what it draws.

An operation is a function ``(key, image, *, options) -> image``. Two marks on it let
compositions treat it without knowing its name:

* ``takes_canvas``: it may be handed a ``types.PaddedImages`` in place of an image.
* ``draws``: the function that draws its random numbers. The operation itself calls that
  function and no other source of randomness, so what it reports is what is done.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from simclr_jax.core import errors, types

Operation = TypeVar("Operation", bound=Callable[..., Any])

_CANVAS = "takes_canvas"
_DRAW = "draw_parameters"
_LABEL = "drawn_label"


def takes_canvas(operation: Operation) -> Operation:
    """Marks an operation that can be handed a ``types.PaddedImages``; a decorator.

    Args:
      operation: ``(key, image or canvas, *, options) -> image``.

    Returns:
      The same function.
    """
    setattr(operation, _CANVAS, True)
    return operation


def draws(draw: Callable[..., Any], *, label: str) -> Callable[[Operation], Operation]:
    """Names the function that draws the random numbers of an operation; a decorator.

    Args:
      draw: ``(key, image, *, options) -> NamedTuple`` of scalars, whose options are
        some of the operation's and whose fields are the names that are reported.
      label: short name of the operation, for "applied or not" in a report.

    Returns:
      A decorator that returns the same function.
    """

    def mark(operation: Operation) -> Operation:
        setattr(operation, _DRAW, draw)
        setattr(operation, _LABEL, label)
        return operation

    return mark


def can_take_canvas(function: Callable[..., Any]) -> bool:
    """Returns whether the function is marked with ``takes_canvas``."""
    return getattr(function, _CANVAS, False)


def label_of(function: Callable[..., Any]) -> str:
    """Returns the label given to ``draws``, or the name of the function."""
    return getattr(function, _LABEL, getattr(function, "__name__", "augmentation"))


def drawn_by(
    function: Callable[..., Any],
    key: types.PRNGKey,
    image: types.Image | types.PaddedImages,
    options: dict[str, Any],
) -> dict[str, jax.Array]:
    """Draws what ``function(key, image, **options)`` draws.

    Args:
      function: an operation.
      key: the key that the operation would be given.
      image: the image or canvas that it would be given.
      options: those that are not left at the operation's defaults.

    Returns:
      Float32 scalars by name; nothing for an operation without a mark.
    """
    draw = getattr(function, _DRAW, None)
    if draw is None:
        return {}
    # The defaults are the operation's: the drawing function has none to keep in step.
    parameters = inspect.signature(function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    wanted = inspect.signature(draw).parameters
    known = {**defaults, **options}
    drawn = draw(key, image, **{name: known[name] for name in known if name in wanted})
    return {
        name: jnp.asarray(value).astype(jnp.float32)
        for name, value in drawn._asdict().items()
    }


def check_not_canvas(augmentation: object, image: object) -> None:
    """Raises if a canvas is about to reach an operation that needs a plain image."""
    if isinstance(image, types.PaddedImages):
        raise errors.UserError(
            f"{augmentation!r} needs an image and got a PaddedImages, whose pixels beyond "
            "the image mean nothing. Begin with a crop or a resize, such as "
            "random_resized_crop or evaluation, which takes the image out; a function "
            "of your own that reads a PaddedImages is marked with augment.takes_canvas."
        )
