"""Base class of the augmentations of this package, and their composition.

An augmentation is any function ``(key, image) -> image``. Those of this package are
transforms: frozen dataclasses whose call is ``apply(sample(key, image), image)``, so
the parameters that ``sample`` returns are exactly those that ``apply`` uses. Transforms
with equal options are equal and have equal hashes: as a static argument of ``jax.jit``
they share one compilation.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, final

import jax
import jax.numpy as jnp

from simclr_jax.augment import planes
from simclr_jax.core import checks, errors, registry, types

Augmentation = Callable[[jax.Array, Any], jax.Array]
"""``(key, image[h w c] in [0, 1]) -> image[h' w' c]``: pure, with a fixed output shape.

A ``Transform`` or any function of this form.
"""

Recipe = Augmentation | tuple[Augmentation, ...]
"""An augmentation, of which two views are made, or a tuple with one for each view."""

Parameters = dict[str, jax.Array]
"""Float32 scalars by name, in the order in which they are used."""


class Transform(abc.ABC):
    """Abstract augmentation that first samples its parameters, then applies them.

    Subclasses are frozen dataclasses whose fields are the options; they implement
    ``sample`` and ``apply``.

    Attributes:
      label: short name for reports, as in ``jitter_applied``.

    Example:
      >>> import dataclasses
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> @dataclasses.dataclass(frozen=True, kw_only=True)
      ... class RandomGain(augment.Transform):
      ...     largest: float = 2.0
      ...     def sample(self, key, image):
      ...         return jax.random.uniform(key, minval=1.0, maxval=self.largest)
      ...     def apply(self, params, image):
      ...         return jnp.clip(params * image, 0.0, 1.0)
      >>> RandomGain(largest=3.0)(jax.random.key(0), jnp.zeros((8, 8, 3))).shape
      (8, 8, 3)
    """

    label: ClassVar[str] = "augmentation"

    @abc.abstractmethod
    def sample(self, key: jax.Array, image: Any, /) -> Any:
        """Samples the random parameters.

        Args:
          key: PRNG key.
          image: the image that the parameters are for. Only its size may be read, not
            the values of its pixels.

        Returns:
          A pytree of arrays; a NamedTuple of scalars appears in reports by itself.
        """

    @abc.abstractmethod
    def apply(self, params: Any, image: Any, /) -> jax.Array:
        """Applies parameters to an image, without randomness.

        Args:
          params: as returned by ``sample``.
          image: float image [h w c] in [0, 1].

        Returns:
          The augmented image.
        """

    def __call__(self, key: jax.Array, image: Any, /) -> jax.Array:
        """Samples parameters and applies them."""
        self.check_accepts(image)
        return self.apply(self.sample(key, image), image)

    def report(self, params: Any) -> Parameters:
        """Returns parameters by name, e.g. for the caption of a view.

        Args:
          params: as returned by ``sample``.

        Returns:
          Float32 scalars by name; empty if ``params`` is not a NamedTuple.
        """
        fields = params._asdict() if hasattr(params, "_asdict") else {}
        return {name: jnp.asarray(x).astype(jnp.float32) for name, x in fields.items()}

    def accepts_padded(self) -> bool:
        """Returns whether a ``types.PaddedImages`` may be passed as the image."""
        return False

    def check_accepts(self, image: object) -> None:
        """Raises if the image is padded and this augmentation cannot read it.

        Args:
          image: an image or padded images.

        Raises:
          UserError: names the augmentation and says what to begin with.
        """
        if isinstance(image, types.PaddedImages) and not self.accepts_padded():
            raise errors.UserError(
                f"{self!r} needs an image and got a PaddedImages, whose pixels beyond "
                "the image are arbitrary. Begin with a crop or a resize, such as "
                "RandomResizedCrop or evaluation, which returns a plain image. A "
                "Transform of your own that reads a PaddedImages returns True from "
                "accepts_padded()."
            )


@dataclasses.dataclass(frozen=True)
class FunctionTransform(Transform):
    """A function with fixed options; see ``bind``. Its parameters are its key."""

    function: Callable[..., jax.Array]
    options: tuple[tuple[str, Any], ...] = ()

    def sample(self, key: jax.Array, image: Any, /) -> jax.Array:
        """Returns the key, from which the function draws by itself."""
        del image
        return key

    def apply(self, params: jax.Array, image: Any, /) -> jax.Array:
        """Calls the function."""
        return self.function(params, image, **dict(self.options))

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options)
        name = getattr(self.function, "__name__", repr(self.function))
        return f"{name}({options})"


@final
@dataclasses.dataclass(frozen=True)
class Chain(Transform):
    """Applies augmentations in order, each with a key of its own.

    Attributes:
      stages: the augmentations. The key is split once, into one for each stage.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> crop = augment.RandomResizedCrop(size=8)
      >>> view = augment.Chain((crop, augment.RandomHorizontalFlip()))
      >>> view(jax.random.key(0), jnp.ones((12, 10, 3))).shape
      (8, 8, 3)
    """

    stages: tuple[Augmentation, ...]

    def __post_init__(self) -> None:
        """Converts every stage to a transform."""
        object.__setattr__(self, "stages", tuple(map(as_transform, self.stages)))

    def sample(self, key: jax.Array, image: Any, /) -> tuple[Any, ...]:
        """Samples the parameters of every stage.

        Args:
          key: PRNG key.
          image: the image that the first stage is given.

        Returns:
          The parameters of each stage.
        """
        keys = jax.random.split(key, len(self.stages)) if self.stages else ()
        sampled = []
        for stage, stage_key in zip(self._transforms, keys, strict=True):
            stage.check_accepts(image)
            sampled.append(stage.sample(stage_key, image))
            if len(sampled) < len(self.stages):
                # Only the size of the image can matter to the next stage.
                made = jax.eval_shape(stage.apply, sampled[-1], image)
                image = jnp.zeros(made.shape, made.dtype)
        return tuple(sampled)

    def apply(self, params: tuple[Any, ...], image: Any, /) -> jax.Array:
        """Applies the stages in order."""
        for stage, stage_params in zip(self._transforms, params, strict=True):
            image = stage.apply(stage_params, image)
        return image

    def report(self, params: tuple[Any, ...]) -> Parameters:
        """Returns the reports of all stages; a repeated name gets a number, ``_2``."""
        named: Parameters = {}
        for stage, stage_params in zip(self._transforms, params, strict=True):
            for name, value in stage.report(stage_params).items():
                named[_unused_name(name, named)] = value
        return named

    def accepts_padded(self) -> bool:
        """Returns whether the first stage accepts padded images."""
        return bool(self.stages) and self._transforms[0].accepts_padded()

    def check_accepts(self, image: object) -> None:
        """Raises if the first stage cannot read the image; see ``Transform``."""
        if self.stages:
            self._transforms[0].check_accepts(image)
        else:
            super().check_accepts(image)

    @property
    def _transforms(self) -> tuple[Transform, ...]:
        return self.stages  # pyright: ignore[reportReturnType]


class RandomApplyParams(NamedTuple):
    """Parameters of ``RandomApply``.

    Attributes:
      applied: boolean scalar, whether the augmentation is applied.
      params: parameters of the augmentation, sampled in both cases.
    """

    applied: jax.Array
    params: Any


@final
@dataclasses.dataclass(frozen=True)
class RandomApply(Transform):
    """Applies an augmentation to a random share of the images.

    Under ``vmap`` the augmentation is computed for every image and the result selected.

    Attributes:
      augmentation: must keep the shape of the image.
      probability: of applying it, in [0, 1].

    Raises:
      UserError: if ``probability`` is outside [0, 1].

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> jitter = augment.ColorJitter(brightness=0.4, contrast=0.4)
      >>> maybe = augment.RandomApply(jitter, 0.8)
      >>> maybe(jax.random.key(0), jnp.ones((8, 8, 3))).shape
      (8, 8, 3)
    """

    augmentation: Augmentation
    probability: float

    def __post_init__(self) -> None:
        """Checks the probability and converts the augmentation to a transform."""
        checks.check_in_range("probability", self.probability, low=0.0, high=1.0)
        object.__setattr__(self, "augmentation", as_transform(self.augmentation))

    def sample(self, key: jax.Array, image: Any, /) -> RandomApplyParams:
        """Samples whether to apply, and the parameters of the augmentation."""
        choice_key, augment_key = jax.random.split(key)
        return RandomApplyParams(
            applied=jax.random.bernoulli(choice_key, self.probability),
            params=self._transform.sample(augment_key, image),
        )

    def apply(self, params: RandomApplyParams, image: Any, /) -> jax.Array:
        """Returns the augmented image or the image.

        Raises:
          UserError: if the augmentation changes the shape.
        """

        def augment(image):
            augmented = self._transform.apply(params.params, image)
            if augmented.shape != image.shape:
                raise errors.UserError(
                    "RandomApply needs an augmentation that keeps the shape; "
                    f"{self.augmentation!r} turned {image.shape} into "
                    f"{augmented.shape}."
                )
            return augmented

        return planes.apply_if(params.applied, augment, image)

    def report(self, params: RandomApplyParams) -> Parameters:
        """Returns ``<label>_applied`` (0 or 1) and the report of the augmentation.

        The values of the augmentation are NaN where it is not applied.
        """
        named = {
            f"{_label(self._transform)}_applied": params.applied.astype(jnp.float32)
        }
        for name, value in self._transform.report(params.params).items():
            named[name] = jnp.where(params.applied, value, jnp.nan)
        return named

    @property
    def _transform(self) -> Transform:
        return self.augmentation  # pyright: ignore[reportReturnType]


def as_transform(augmentation: Augmentation) -> Transform:
    """Returns the augmentation as a transform; wraps a plain function.

    Args:
      augmentation: a transform, or a function ``(key, image) -> image``.

    Returns:
      A transform; that of a function has the key as its parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> def invert(key, image):
      ...     return 1.0 - image
      >>> augment.as_transform(invert)
      invert()
    """
    if isinstance(augmentation, Transform):
        return augmentation
    return FunctionTransform(augmentation)


def bind(function: Callable[..., jax.Array], **options: Any) -> FunctionTransform:
    """Fixes the options of a function ``(key, image, *, ...) -> image``.

    Args:
      function: a module-level function of that form.
      **options: its keyword arguments; lists become tuples.

    Returns:
      An augmentation ``(key, image) -> image``, equal to any other with the same
      function and options.

    Raises:
      UserError: if the function has no such option; lists those it has.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> def add_noise(key, image, *, scale):
      ...     return image + scale * jax.random.normal(key, image.shape)
      >>> noisy = augment.bind(add_noise, scale=0.1)
      >>> noisy
      add_noise(scale=0.1)
      >>> noisy(jax.random.key(0), jnp.zeros((8, 8, 3))).shape
      (8, 8, 3)
    """
    registry.check_options(function.__name__, function, options)
    frozen = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in options.items()
    }
    return FunctionTransform(function, tuple(sorted(frozen.items())))


def _label(transform: Transform) -> str:
    if isinstance(transform, FunctionTransform):
        return getattr(transform.function, "__name__", transform.label)
    return transform.label


def _unused_name(name: str, taken: Parameters) -> str:
    candidates = (name, *(f"{name}_{number}" for number in range(2, len(taken) + 3)))
    return next(candidate for candidate in candidates if candidate not in taken)
