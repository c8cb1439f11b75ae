"""Recipes with one augmentation for each view: BYOL, MoCo v3, SwAV.

Each recipe is a tuple with one augmentation for each view. The table in
``recipes.simclr_recipes`` explains the options.
"""

from simclr_jax.augment import transform
from simclr_jax.augment.recipes import simclr_recipes
from simclr_jax.core import errors

_BYOL_AMOUNTS = (0.4, 0.4, 0.2, 0.1)


def byol(
    *,
    size: int = 224,
    strength: float = 1.0,
    area: simclr_recipes.Range = (0.08, 1.0),
    sampler: str = "tf_distorted_box",
    family: str = "v1",
    order: str = "random",
    grayscale_probability: float = 0.2,
    blur_probabilities: tuple[float, float] = (1.0, 0.1),
    solarize_probabilities: tuple[float, float] = (0.0, 0.2),
    parity: bool = False,
    dtype: str = "float32",
) -> transform.Recipe:
    """Builds BYOL's two views: the first always blurred, the second may be solarized.

    Args:
      size: side of the views in pixels.
      strength: brightness and contrast 0.4 s, saturation 0.2 s, hue 0.1 s.
      area: share of the image that a crop keeps.
      sampler: distribution of the crop's box; the published code takes TensorFlow's.
      family: of the jitter; the published code adds to the brightness.
      order: of the jitter's operations.
      grayscale_probability: of removing all color.
      blur_probabilities: of the blur, for the first and the second view.
      solarize_probabilities: of inverting bright values, for each view.
      parity: darkens the borders of blurred views.
      dtype: of the views.

    Returns:
      Two augmentations.

    References:
      Grill et al., "Bootstrap your own latent", 2020, appendix B, table 6.
      https://arxiv.org/abs/2006.07733

    Example:
      >>> from simclr_jax import augment
      >>> first, second = augment.recipes.byol(size=32)
      >>> len(first.stages), len(second.stages)
      (4, 5)
    """
    return tuple(
        simclr_recipes.jittered_view(
            size=size,
            area=area,
            sampler=sampler,
            amounts=_scaled(_BYOL_AMOUNTS, strength),
            family=family,
            order=order,
            grayscale_probability=grayscale_probability,
            blur_probability=blur,
            solarize_probability=solarize,
            parity=parity,
            dtype=dtype,
        )
        for blur, solarize in zip(
            blur_probabilities, solarize_probabilities, strict=True
        )
    )


def moco_v3(
    *,
    size: int = 224,
    strength: float = 1.0,
    area: simclr_recipes.Range = (0.2, 1.0),
    sampler: str = "uniform_area",
    family: str = "v2",
    order: str = "random",
    grayscale_probability: float = 0.2,
    blur_probabilities: tuple[float, float] = (1.0, 0.1),
    solarize_probabilities: tuple[float, float] = (0.0, 0.2),
    parity: bool = False,
    dtype: str = "float32",
) -> transform.Recipe:
    """Builds MoCo v3's two views: BYOL's with torchvision's crop and brightness.

    Contrast keeps the mean of each channel and saturation is that of HSV, as in BYOL;
    in torchvision both are relative to the gray image.

    Args:
      size: side of the views in pixels.
      strength: brightness and contrast 0.4 s, saturation 0.2 s, hue 0.1 s.
      area: share of the image that a crop keeps: from 0.2 for the ResNet-50, from 0.08
        for the ViTs.
      sampler: distribution of the crop's box.
      family: of the jitter.
      order: of the jitter's operations.
      grayscale_probability: of removing all color.
      blur_probabilities: of the blur, for the first and the second view.
      solarize_probabilities: of inverting bright values, for each view.
      parity: darkens the borders of blurred views.
      dtype: of the views.

    Returns:
      Two augmentations.

    References:
      Chen, Xie and He, "An Empirical Study of Training Self-Supervised Vision
      Transformers", 2021, appendix A, and its published code.
      https://arxiv.org/abs/2104.02057

    Example:
      >>> from simclr_jax import augment
      >>> first, second = augment.recipes.moco_v3(size=32)
      >>> len(first.stages), len(second.stages)
      (4, 5)
    """
    return tuple(
        simclr_recipes.jittered_view(
            size=size,
            area=area,
            sampler=sampler,
            amounts=_scaled(_BYOL_AMOUNTS, strength),
            family=family,
            order=order,
            grayscale_probability=grayscale_probability,
            blur_probability=blur,
            solarize_probability=solarize,
            method="bilinear",
            antialias=True,
            parity=parity,
            dtype=dtype,
        )
        for blur, solarize in zip(
            blur_probabilities, solarize_probabilities, strict=True
        )
    )


def swav(
    *,
    sizes: tuple[int, ...] = (224, 96),
    counts: tuple[int, ...] = (2, 6),
    areas: tuple[simclr_recipes.Range, ...] = ((0.14, 1.0), (0.05, 0.14)),
    strength: float = 1.0,
    sampler: str = "uniform_area",
    family: str = "v2",
    order: str = "random",
    grayscale_probability: float = 0.2,
    blur_probability: float = 0.5,
    parity: bool = False,
    dtype: str = "float32",
) -> transform.Recipe:
    """Builds SwAV's multi-crop views: a few large ones and several small ones.

    Args:
      sizes: side in pixels of each kind of view.
      counts: how many views of each kind.
      areas: share of the image that a crop keeps, for each kind.
      strength: brightness, contrast and saturation 0.8 s, hue 0.2 s.
      sampler: distribution of the crop's box.
      family: of the jitter.
      order: of the jitter's operations.
      grayscale_probability: of removing all color.
      blur_probability: of the blur.
      parity: darkens the borders of blurred views.
      dtype: of the views.

    Returns:
      One augmentation for each view, the first kind first.

    Raises:
      UserError: if ``sizes``, ``counts`` and ``areas`` differ in length.

    References:
      Caron et al., "Unsupervised Learning of Visual Features by Contrasting Cluster
      Assignments", 2020, section 3.2 and appendix A. https://arxiv.org/abs/2006.09882

    Example:
      >>> from simclr_jax import augment
      >>> len(augment.recipes.swav(sizes=(32, 16), counts=(2, 4)))
      6
    """
    if not len(sizes) == len(counts) == len(areas):
        raise errors.UserError(
            "sizes, counts and areas must have one entry for each kind of view; got "
            f"sizes={tuple(sizes)}, counts={tuple(counts)}, areas={tuple(areas)}."
        )
    kinds = [
        simclr_recipes.jittered_view(
            size=size,
            area=area,
            sampler=sampler,
            amounts=_scaled((0.8, 0.8, 0.8, 0.2), strength),
            family=family,
            order=order,
            grayscale_probability=grayscale_probability,
            blur_probability=blur_probability,
            method="bilinear",
            antialias=True,
            parity=parity,
            dtype=dtype,
        )
        for size, area in zip(sizes, areas, strict=True)
    ]
    return tuple(
        kind for kind, count in zip(kinds, counts, strict=True) for _ in range(count)
    )


def _scaled(amounts, strength):
    brightness, contrast, saturation, hue = (strength * amount for amount in amounts)
    return brightness, contrast, saturation, hue
