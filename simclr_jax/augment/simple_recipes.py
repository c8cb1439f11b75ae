"""Recipes without color: digits, supervised training, evaluation.

The options are those of ``recipes``, whose table explains them.
"""

from simclr_jax.augment import center, compose, crop, gaussian, jitter


def mnist(
    *,
    size: int = 24,
    area: tuple[float, float] = (0.3, 1.0),
    sampler: str = "uniform_area",
    brightness: float = 0.4,
    contrast: float = 0.4,
    family: str = "v2",
    order: str = "random",
    sigma: tuple[float, float] = (0.1, 2.0),
    parity: bool = False,
    dtype: str = "float32",
) -> compose.Chain:
    """Digits: crop, brightness and contrast, blur. No flip: a mirrored 2 is no 2.

    Args:
      size: side of the view in pixels.
      area: share of the image that a crop keeps.
      sampler: distribution of the crop's box.
      brightness: see ``jitter.color_jitter``.
      contrast: see ``jitter.color_jitter``.
      family: see ``jitter.color_jitter``.
      order: see ``jitter.color_jitter``.
      sigma: range of the blur's standard deviation in pixels.
      parity: darkens the borders; see ``gaussian.blur``.
      dtype: of the view.

    Returns:
      An augmentation from images of any size and any number of channels.
    """
    return compose.chain(
        compose.bind(
            crop.random_resized_crop, size=size, area=area, sampler=sampler, dtype=dtype
        ),
        compose.bind(
            jitter.color_jitter,
            brightness=brightness,
            contrast=contrast,
            family=family,
            order=order,
        ),
        compose.bind(gaussian.gaussian_blur, sigma=sigma, parity=parity),
    )


def supervised(
    *,
    size: int = 224,
    area: tuple[float, float] = (0.08, 1.0),
    sampler: str = "tf_distorted_box",
    flip_probability: float = 0.5,
    dtype: str = "float32",
) -> compose.Chain:
    """Crop and flip alone: for training a linear classifier and for fine-tuning.

    Args:
      size: side of the view in pixels.
      area: share of the image that a crop keeps.
      sampler: distribution of the crop's box.
      flip_probability: of left and right being exchanged.
      dtype: of the view.

    Returns:
      An augmentation.

    References:
      Chen et al., 2020, appendices B.5 and B.6. https://arxiv.org/abs/2002.05709
    """
    return compose.chain(
        compose.bind(
            crop.random_resized_crop,
            size=size,
            area=area,
            sampler=sampler,
            method="bicubic",
            antialias=False,
            flip_probability=flip_probability,
            dtype=dtype,
        )
    )


def evaluation(
    *,
    size: int = 224,
    fit: str = "proportion",
    proportion: float = 0.875,
    method: str = "bicubic",
    antialias: bool = False,
) -> compose.Bound:
    """What every evaluator does to an image: no randomness, the key is not used.

    An image that already has the size is returned as it is.

    Args:
      size: side of the output in pixels.
      fit: ``"proportion"`` (central crop that keeps ``proportion`` of the less cropped
        side, then a resize: SimCLR on ImageNet), ``"crop"`` (the central pixels, not
        resized: digits of 28 to 24) or ``"resize"`` (the whole image).
      proportion: of the less cropped side that is kept, in (0, 1].
      method: of the resize, ``"bilinear"`` or ``"bicubic"``.
      antialias: of the resize; the original samples without.

    Returns:
      An augmentation ``(key, image) -> image``. An image on a canvas that is smaller
      than the crop is enlarged; see ``center.center_crop``.

    Raises:
      UserError: if ``fit`` is unknown.
    """
    center.check_fit(fit)
    return compose.bind(
        center.fit_to_size,
        size=size,
        fit=fit,
        proportion=proportion,
        method=method,
        antialias=antialias,
    )
