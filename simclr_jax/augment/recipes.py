"""Named recipes: what the papers do to an image, as one augmentation each.

Every recipe takes images in [0, 1] and ends in [0, 1]; nothing is normalized by a mean
or a deviation, as in the original code. Recipes with the same options are equal and
hash alike.
"""

from typing import Any

import jax.numpy as jnp

from simclr_jax.augment import compose, crop, flip, gaussian, jitter, resample
from simclr_jax.core import errors, registry, types


def mnist(
    *,
    size: int = 24,
    area: tuple[float, float] = (0.3, 1.0),
    brightness: float = 0.4,
    contrast: float = 0.4,
    sigma: tuple[float, float] = (0.1, 2.0),
) -> compose.Chain:
    """Digits: crop, brightness and contrast, blur. No flip: a mirrored 2 is no 2.

    Args:
      size: side of the view in pixels.
      area: share of the image that a crop keeps.
      brightness: see ``jitter.color_jitter``.
      contrast: see ``jitter.color_jitter``.
      sigma: range of the blur's standard deviation in pixels.

    Returns:
      An augmentation from images of any size and one or three channels.
    """
    return compose.chain(
        compose.bind(crop.random_resized_crop, size=size, area=area),
        compose.bind(jitter.color_jitter, brightness=brightness, contrast=contrast),
        compose.bind(gaussian.gaussian_blur, sigma=sigma),
    )


def simclr(
    *,
    size: int = 224,
    strength: float = 1.0,
    area: tuple[float, float] = (0.08, 1.0),
    sampler: str = "uniform_area",
    brightness_mode: str = "multiplicative",
    order: str = "random",
    grayscale_probability: float = 0.2,
    blur_probability: float = 0.5,
) -> compose.Chain:
    """SimCLR on ImageNet: crop, flip, color jitter, grayscale, blur.

    Args:
      size: side of the view in pixels.
      strength: of the color jitter: brightness, contrast and saturation 0.8 s, hue
        0.2 s.
      area: share of the image that a crop keeps.
      sampler: of the crop's box, ``"uniform_area"`` or ``"tensorflow"`` (the original
        code's distribution); see ``crop.draw_crop_box``.
      brightness_mode: ``"multiplicative"`` (v2) or ``"additive"`` (v1).
      order: ``"random"`` or ``"fixed"``; see ``jitter.color_jitter``.
      grayscale_probability: of losing all color.
      blur_probability: of the blur; its kernel is a tenth of the height.

    Returns:
      An augmentation from images of any size. Saturation, hue and grayscale are skipped
      for images of one channel.

    References:
      Chen et al., 2020, appendix A, https://arxiv.org/abs/2002.05709; Chen et al.,
      "Big Self-Supervised Models are Strong Semi-Supervised Learners", 2020,
      https://arxiv.org/abs/2006.10029
    """
    jittering = compose.bind(
        jitter.color_jitter,
        brightness=0.8 * strength,
        contrast=0.8 * strength,
        saturation=0.8 * strength,
        hue=0.2 * strength,
        order=order,
        brightness_mode=brightness_mode,
    )
    stages = [
        compose.bind(
            crop.random_resized_crop,
            size=size,
            area=area,
            sampler=sampler,
            method="bicubic",
            antialias=False,
        ),
        compose.bind(flip.random_horizontal_flip),
        compose.with_probability(jittering, 0.8),
        compose.bind(jitter.random_grayscale, probability=grayscale_probability),
    ]
    if blur_probability:
        stages.append(
            compose.bind(gaussian.gaussian_blur, probability=blur_probability)
        )
    return compose.chain(*stages)


def simclr_cifar(
    *,
    size: int = 32,
    strength: float = 0.5,
    area: tuple[float, float] = (0.08, 1.0),
    sampler: str = "uniform_area",
    brightness_mode: str = "multiplicative",
    order: str = "random",
    grayscale_probability: float = 0.2,
) -> compose.Chain:
    """SimCLR on CIFAR: half the color strength and no blur.

    Args:
      size: side of the view in pixels.
      strength: of the color jitter; see ``simclr``.
      area: see ``simclr``.
      sampler: see ``simclr``.
      brightness_mode: see ``simclr``.
      order: see ``simclr``.
      grayscale_probability: see ``simclr``.

    Returns:
      An augmentation.

    References:
      Chen et al., 2020, appendix B.9. https://arxiv.org/abs/2002.05709
    """
    return simclr(
        size=size,
        strength=strength,
        area=area,
        sampler=sampler,
        brightness_mode=brightness_mode,
        order=order,
        grayscale_probability=grayscale_probability,
        blur_probability=0.0,
    )


def evaluation(
    *,
    size: int = 224,
    fit: str = "proportion",
    proportion: float = 0.875,
    antialias: bool = False,
) -> compose.Bound:
    """What every evaluator does to an image: no randomness, the key is not used.

    An image that already has the size is returned as it is.

    Args:
      size: side of the output in pixels.
      fit: ``"proportion"`` (central crop that keeps ``proportion`` of the less cropped
        side, then bicubic resize: SimCLR on ImageNet), ``"crop"`` (the central pixels,
        not resized: digits of 28 to 24) or ``"resize"`` (the whole image).
      proportion: of the less cropped side that is kept, in (0, 1].
      antialias: of the resize; the original samples without.

    Returns:
      An augmentation ``(key, image) -> image``.

    Raises:
      UserError: if ``fit`` is unknown.
    """
    if fit not in ("proportion", "crop", "resize"):
        raise errors.UserError(
            f"fit must be 'proportion', 'crop' or 'resize'; got {fit!r}."
        )
    return compose.bind(
        fit_to_size, size=size, fit=fit, proportion=proportion, antialias=antialias
    )


def fit_to_size(
    key: types.PRNGKey,
    image: types.Image,
    *,
    size: resample.Size,
    fit: str,
    proportion: float,
    antialias: bool,
) -> resample.ResizedImage:
    """The operation behind ``evaluation``; its options are described there."""
    del key
    if image.shape[:2] == resample.size_pair("size", size):
        return image
    if fit == "resize":
        out = resample.resize(image, size=size, method="bicubic", antialias=antialias)
        return jnp.clip(out, 0.0, 1.0)
    kept = None if fit == "crop" else proportion
    return crop.center_crop(image, size=size, proportion=kept, antialias=antialias)


RECIPES = {
    "evaluation": evaluation,
    "mnist": mnist,
    "simclr": simclr,
    "simclr_cifar": simclr_cifar,
}


def build(name: str, **options: Any) -> compose.Augmentation:
    """Returns the recipe of this name.

    Args:
      name: a key of ``RECIPES``.
      **options: keyword arguments of that recipe.

    Returns:
      An augmentation.

    Raises:
      UserError: if the name or an option is unknown; lists the choices.
    """
    recipe = registry.lookup("augmentation recipe", name, RECIPES)
    compose.check_options(f"recipe {name!r}", recipe, options)
    return recipe(**options)
