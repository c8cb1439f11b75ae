"""Recipes without color: digits, supervised training, evaluation.

The table in ``recipes.simclr_recipes`` explains the options.
"""

from simclr_jax.augment import transform
from simclr_jax.augment.ops import blur, center, crop, jitter


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
) -> transform.Chain:
    """Builds the recipe for digits: crop, brightness and contrast, blur.

    There is no flip, because a mirrored digit is not a digit.

    Args:
      size: side of the view in pixels.
      area: share of the image that a crop keeps.
      sampler: distribution of the crop's box.
      brightness: see ``ops.ColorJitter``.
      contrast: see ``ops.ColorJitter``.
      family: see ``ops.ColorJitter``.
      order: see ``ops.ColorJitter``.
      sigma: range of the blur's standard deviation in pixels.
      parity: darkens the borders; see ``ops.gaussian_blur``.
      dtype: of the view.

    Returns:
      An augmentation for images of any size and any number of channels.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> view = augment.recipes.mnist(size=24)
      >>> view(jax.random.key(0), jnp.ones((28, 28, 1))).shape
      (24, 24, 1)
    """
    stages = (
        crop.RandomResizedCrop(size=size, area=area, sampler=sampler, dtype=dtype),
        jitter.ColorJitter(
            brightness=brightness, contrast=contrast, family=family, order=order
        ),
        blur.RandomGaussianBlur(sigma=sigma, parity=parity),
    )
    return transform.Chain(stages)


def supervised(
    *,
    size: int = 224,
    area: tuple[float, float] = (0.08, 1.0),
    sampler: str = "tf_distorted_box",
    flip_probability: float = 0.5,
    dtype: str = "float32",
) -> transform.Chain:
    """Builds crop and flip only, for training a linear classifier and fine-tuning.

    Args:
      size: side of the view in pixels.
      area: share of the image that a crop keeps.
      sampler: distribution of the crop's box.
      flip_probability: of exchanging left and right.
      dtype: of the view.

    Returns:
      An augmentation.

    References:
      Chen et al., 2020, appendices B.5 and B.6. https://arxiv.org/abs/2002.05709

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> view = augment.recipes.supervised(size=32)
      >>> view(jax.random.key(0), jnp.ones((40, 48, 3))).shape
      (32, 32, 3)
    """
    cropping = crop.RandomResizedCrop(
        size=size,
        area=area,
        sampler=sampler,
        method="bicubic",
        antialias=False,
        flip_probability=flip_probability,
        dtype=dtype,
    )
    return transform.Chain((cropping,))


def evaluation(
    *,
    size: int = 224,
    fit: str = "proportion",
    proportion: float = 0.875,
    method: str = "bicubic",
    antialias: bool = False,
) -> center.FitToSize:
    """Builds the preprocessing of evaluators: deterministic, the key is not used.

    An image that already has the size is returned unchanged.

    Args:
      size: side of the output in pixels.
      fit: ``"proportion"`` (central crop that keeps ``proportion`` of the less cropped
        side, then a resize: SimCLR on ImageNet), ``"crop"`` (the central pixels without
        a resize: digits of 28 to 24 pixels) or ``"resize"`` (the whole image).
      proportion: of the less cropped side that is kept, in (0, 1].
      method: of the resize, ``"bilinear"`` or ``"bicubic"``.
      antialias: of the resize; the original samples without antialiasing.

    Returns:
      An augmentation ``(key, image) -> image``. A padded image smaller than the crop is
      enlarged; see ``ops.center_crop``.

    Raises:
      UserError: if an option is not valid.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import augment
      >>> view = augment.recipes.evaluation(size=24, fit="crop")
      >>> view(jax.random.key(0), jnp.ones((28, 28, 1))).shape
      (24, 24, 1)
    """
    return center.FitToSize(
        size=size,
        fit=fit,
        proportion=proportion,
        method=method,
        antialias=antialias,
    )
