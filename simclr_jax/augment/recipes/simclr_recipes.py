"""SimCLR's recipes, and the builder shared with the recipes of other papers.

Recipes map images in [0, 1] to views in [0, 1]; as in the original code, images are
not normalized by a mean or a standard deviation. Recipes with the same options are
equal and have equal hashes. An option that several recipes have means the same in all:

=========================  ==========================================================
option                     meaning
=========================  ==========================================================
``size``                   side of the view in pixels
``area``                   range of the share of the image that a crop keeps
``sampler``                of the crop's box; see ``ops.sample_crop_box``
``strength``               factor of all four amounts of the color jitter
``family``                 of the jitter: "v1" adds to the brightness, "v2" multiplies
``order``                  of the jitter: "random" or "fixed"
``grayscale_probability``  of removing all color
``blur_probability``       of the blur, whose kernel is a tenth of the height
``parity``                 the original's dark borders; see ``ops.gaussian_blur``
``dtype``                  of the view: "float32" or "bfloat16"
=========================  ==========================================================

Images with one channel keep one channel; saturation, hue and grayscale skip them.
"""

from simclr_jax.augment import transform
from simclr_jax.augment.ops import blur, crop, jitter

Range = tuple[float, float]


def jittered_view(
    *,
    size: int,
    area: Range,
    sampler: str,
    amounts: tuple[float, float, float, float],
    family: str,
    order: str,
    grayscale_probability: float,
    blur_probability: float,
    solarize_probability: float = 0.0,
    method: str = "bicubic",
    antialias: bool = False,
    parity: bool,
    dtype: str,
) -> transform.Chain:
    """Builds a view: crop with flip, color jitter, grayscale, blur, solarize.

    Args:
      size: see the table in the docstring of this module.
      area: see the table.
      sampler: see the table.
      amounts: of brightness, contrast, saturation and hue; see ``ops.ColorJitter``. The
        jitter is applied to 80% of the views.
      family: see the table.
      order: see the table.
      grayscale_probability: see the table.
      blur_probability: see the table; the stage is omitted if zero.
      solarize_probability: of inverting bright values; the stage is omitted if zero.
      method: of the crop's resize.
      antialias: of the crop's resize.
      parity: see the table.
      dtype: see the table.

    Returns:
      An augmentation.
    """
    brightness, contrast, saturation, hue = amounts
    cropping = crop.RandomResizedCrop(
        size=size,
        area=area,
        sampler=sampler,
        method=method,
        antialias=antialias,
        flip_probability=0.5,
        dtype=dtype,
    )
    jittering = jitter.ColorJitter(
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
        hue=hue,
        order=order,
        family=family,
    )
    stages = [
        cropping,
        transform.RandomApply(jittering, 0.8),
        jitter.RandomGrayscale(probability=grayscale_probability),
    ]
    if blur_probability:
        stages.append(
            blur.RandomGaussianBlur(probability=blur_probability, parity=parity)
        )
    if solarize_probability:
        stages.append(jitter.RandomSolarize(probability=solarize_probability))
    return transform.Chain(tuple(stages))


def simclr_v1(
    *,
    size: int = 224,
    strength: float = 1.0,
    area: Range = (0.08, 1.0),
    sampler: str = "tf_distorted_box",
    order: str = "random",
    grayscale_probability: float = 0.2,
    blur_probability: float = 0.5,
    parity: bool = False,
    dtype: str = "float32",
) -> transform.Chain:
    """Builds SimCLR's ImageNet recipe as in its paper: additive brightness.

    Args:
      size: side of the view in pixels.
      strength: brightness, contrast and saturation 0.8 s, hue 0.2 s.
      area: share of the image that a crop keeps.
      sampler: distribution of the crop's box.
      order: of the jitter's operations.
      grayscale_probability: of removing all color.
      blur_probability: of the blur.
      parity: darkens the borders of blurred views, as the original code does.
      dtype: of the view.

    Returns:
      An augmentation.

    References:
      Chen et al., 2020, appendix A. https://arxiv.org/abs/2002.05709

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> view = augment.recipes.simclr_v1(size=32)
      >>> view(jax.random.key(0), jnp.ones((40, 48, 3))).shape
      (32, 32, 3)
    """
    return jittered_view(
        size=size,
        area=area,
        sampler=sampler,
        amounts=_simclr_amounts(strength),
        family="v1",
        order=order,
        grayscale_probability=grayscale_probability,
        blur_probability=blur_probability,
        parity=parity,
        dtype=dtype,
    )


def simclr_v2(
    *,
    size: int = 224,
    strength: float = 1.0,
    area: Range = (0.08, 1.0),
    sampler: str = "tf_distorted_box",
    order: str = "random",
    grayscale_probability: float = 0.2,
    blur_probability: float = 0.5,
    parity: bool = False,
    dtype: str = "float32",
) -> transform.Chain:
    """Builds SimCLR's ImageNet recipe as in its code: multiplicative brightness.

    Args:
      size: side of the view in pixels.
      strength: brightness, contrast and saturation 0.8 s, hue 0.2 s.
      area: share of the image that a crop keeps.
      sampler: distribution of the crop's box.
      order: of the jitter's operations.
      grayscale_probability: of removing all color.
      blur_probability: of the blur.
      parity: darkens the borders of blurred views, as the original code does.
      dtype: of the view.

    Returns:
      An augmentation.

    References:
      Chen et al., "Big Self-Supervised Models are Strong Semi-Supervised Learners",
      2020, section 3 (the augmentations of SimCLR, in the code published with it).
      https://arxiv.org/abs/2006.10029

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> view = augment.recipes.simclr_v2(size=32)
      >>> view(jax.random.key(0), jnp.ones((40, 48, 3))).shape
      (32, 32, 3)
    """
    return jittered_view(
        size=size,
        area=area,
        sampler=sampler,
        amounts=_simclr_amounts(strength),
        family="v2",
        order=order,
        grayscale_probability=grayscale_probability,
        blur_probability=blur_probability,
        parity=parity,
        dtype=dtype,
    )


def simclr_cifar(
    *,
    size: int = 32,
    strength: float = 0.5,
    area: Range = (0.08, 1.0),
    sampler: str = "tf_distorted_box",
    family: str = "v2",
    order: str = "random",
    grayscale_probability: float = 0.2,
    dtype: str = "float32",
) -> transform.Chain:
    """Builds SimCLR's CIFAR recipe: half the color strength and no blur.

    Args:
      size: side of the view in pixels.
      strength: brightness, contrast and saturation 0.8 s, hue 0.2 s.
      area: share of the image that a crop keeps.
      sampler: distribution of the crop's box.
      family: of the jitter, ``"v1"`` (the paper) or ``"v2"`` (the released code).
      order: of the jitter's operations.
      grayscale_probability: of removing all color.
      dtype: of the view.

    Returns:
      An augmentation.

    References:
      Chen et al., 2020, appendix B.9. https://arxiv.org/abs/2002.05709

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> view = augment.recipes.simclr_cifar()
      >>> view(jax.random.key(0), jnp.ones((32, 32, 3))).shape
      (32, 32, 3)
    """
    return jittered_view(
        size=size,
        area=area,
        sampler=sampler,
        amounts=_simclr_amounts(strength),
        family=family,
        order=order,
        grayscale_probability=grayscale_probability,
        blur_probability=0.0,
        parity=False,
        dtype=dtype,
    )


def _simclr_amounts(strength):
    return (0.8 * strength, 0.8 * strength, 0.8 * strength, 0.2 * strength)
