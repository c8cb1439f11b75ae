"""SimCLR's recipes, and the builder that the recipes of other papers share.

Every recipe takes images in [0, 1] and ends in [0, 1]; nothing is normalized by a mean
or a deviation, as in the original code. Recipes with the same options are equal and
hash alike. An option that several of them have means the same in all:

=========================  ==========================================================
option                     meaning
=========================  ==========================================================
``size``                   side of the view in pixels
``area``                   range of the share of the image that a crop keeps
``sampler``                of the crop's box; see ``crop.draw_crop_box``
``strength``               factor of all four amounts of the color jitter
``family``                 of the jitter: "v1" adds to the brightness, "v2" multiplies
``order``                  of the jitter: "random" or "fixed"
``grayscale_probability``  of losing all color
``blur_probability``       of the blur, whose kernel is a tenth of the height
``parity``                 the original's dark borders after a blur; see ``gaussian``
``dtype``                  of the view: "float32" or "bfloat16"
=========================  ==========================================================

Images of one channel keep one; saturation, hue and grayscale pass them by.
"""

from simclr_jax.augment import compose, crop, gaussian, jitter

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
) -> compose.Chain:
    """Crop with flip, color jitter, grayscale, blur, solarize: the common builder.

    Args:
      size: see the table of this module, as for all that follow and are not explained.
      area: see there.
      sampler: see there.
      amounts: of brightness, contrast, saturation and hue; see ``jitter.color_jitter``.
        The jitter is applied to 80% of the views.
      family: see there.
      order: see there.
      grayscale_probability: see there.
      blur_probability: see there; the stage is left out if zero.
      solarize_probability: of inverting bright values; the stage is left out if zero.
      method: of the crop's resize.
      antialias: of the crop's resize.
      parity: see there.
      dtype: see there.

    Returns:
      An augmentation.
    """
    brightness, contrast, saturation, hue = amounts
    jittering = compose.bind(
        jitter.color_jitter,
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
        hue=hue,
        order=order,
        family=family,
    )
    cropping = compose.bind(
        crop.random_resized_crop,
        size=size,
        area=area,
        sampler=sampler,
        method=method,
        antialias=antialias,
        flip_probability=0.5,
        dtype=dtype,
    )
    gray = compose.bind(jitter.random_grayscale, probability=grayscale_probability)
    stages = [cropping, compose.with_probability(jittering, 0.8), gray]
    if blur_probability:
        blurring = {"probability": blur_probability, "parity": parity}
        stages.append(compose.bind(gaussian.gaussian_blur, **blurring))
    if solarize_probability:
        chance = {"probability": solarize_probability}
        stages.append(compose.bind(jitter.random_solarize, **chance))
    return compose.chain(*stages)


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
) -> compose.Chain:
    """SimCLR on ImageNet as in its paper: additive brightness.

    Args:
      size: side of the view in pixels.
      strength: brightness, contrast and saturation 0.8 s, hue 0.2 s.
      area: share of the image that a crop keeps.
      sampler: distribution of the crop's box.
      order: of the jitter's operations.
      grayscale_probability: of losing all color.
      blur_probability: of the blur.
      parity: darkens the borders of blurred views, as the original code does.
      dtype: of the view.

    Returns:
      An augmentation.

    References:
      Chen et al., 2020, appendix A. https://arxiv.org/abs/2002.05709
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
) -> compose.Chain:
    """SimCLR on ImageNet as in the released code: multiplicative brightness.

    Args:
      size: side of the view in pixels.
      strength: brightness, contrast and saturation 0.8 s, hue 0.2 s.
      area: share of the image that a crop keeps.
      sampler: distribution of the crop's box.
      order: of the jitter's operations.
      grayscale_probability: of losing all color.
      blur_probability: of the blur.
      parity: darkens the borders of blurred views, as the original code does.
      dtype: of the view.

    Returns:
      An augmentation.

    References:
      Chen et al., "Big Self-Supervised Models are Strong Semi-Supervised Learners",
      2020, section 3 (the augmentations of SimCLR, in the code published with it).
      https://arxiv.org/abs/2006.10029
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
) -> compose.Chain:
    """SimCLR on CIFAR: half the color strength and no blur.

    Args:
      size: side of the view in pixels.
      strength: brightness, contrast and saturation 0.8 s, hue 0.2 s.
      area: share of the image that a crop keeps.
      sampler: distribution of the crop's box.
      family: of the jitter, ``"v1"`` (the paper) or ``"v2"`` (the released code).
      order: of the jitter's operations.
      grayscale_probability: of losing all color.
      dtype: of the view.

    Returns:
      An augmentation.

    References:
      Chen et al., 2020, appendix B.9. https://arxiv.org/abs/2002.05709
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
