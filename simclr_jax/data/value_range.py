"""The range of stored values that becomes [0, 255]. No jax here.

Cameras and microscopes write 12 or 14 bits into 16, or a small part of them: divided by
the range of the type, such an image is black. The options:

===============  =======================================================================
option           what becomes black and what white
===============  =======================================================================
``full``         the range of the type: 0 and 65,535 of 16 bits, 0 and 1 of floats
``LOW:HIGH``     these values in all images, as in ``"0:4095"``
``image``        the least and the greatest value of each image
``percentiles``  the 1st and the 99th percentile of each image
===============  =======================================================================

What lies outside is clipped. All channels of an image share one range.
"""

import numpy as np

from simclr_jax.core import errors

FULL = "full"
PER_IMAGE = {"image": (0.0, 100.0), "percentiles": (1.0, 99.0)}

Range = str | tuple[float, float]
"""One of the names of the table, or the two values that become 0 and 255."""


def parse(option: str | tuple[float | int, float | int]) -> Range:
    """Returns a range as an option writes it: a name, ``"LOW:HIGH"``, or two numbers.

    Raises:
      UserError: if it is none of them, or LOW is not below HIGH.
    """
    if option == FULL or option in PER_IMAGE:
        return option
    parts = option.split(":") if isinstance(option, str) else list(option)
    try:
        low, high = (float(part) for part in parts)
        if low < high and np.isfinite([low, high]).all():
            return low, high
    except (TypeError, ValueError):
        pass
    raise errors.UserError(
        f"data.range must be {FULL}, {', '.join(PER_IMAGE)} or LOW:HIGH with LOW below "
        f"HIGH, e.g. 0:4095; got {option!r}."
    )


def to_bytes(values: np.ndarray, value_range: Range = FULL) -> np.ndarray:
    """Brings the values of one image into [0, 255].

    Args:
      values: of any real type and shape.
      value_range: as ``parse`` returns it. ``"full"`` takes whole numbers as 16 bits,
        and floating-point numbers as [0, 1], or as [0, 255] if one exceeds 1.

    Returns:
      uint8, of the same shape; ``values`` themselves where they are that already and
      the range is full.

    Raises:
      ValueError: if a value is not finite or, with ``"full"``, beyond the type's range.
    """
    if value_range == FULL:
        return values if values.dtype == np.uint8 else _full(values)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("pixels that are not finite")
    if isinstance(value_range, str):
        low, high = np.percentile(values, PER_IMAGE[value_range])
    else:
        low, high = value_range
    scale = 255.0 / (high - low) if high > low else 0.0
    scaled = (values.astype(np.float64) - low) * scale
    return np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)


def _full(values: np.ndarray) -> np.ndarray:
    """Brings 16-bit, 32-bit and floating-point gray into [0, 255]."""
    low, high = values.min(), values.max()
    is_float = values.dtype.kind == "f"
    limit = 255 if is_float else 65535
    if not (low >= 0 and high <= limit):  # also where they are NaN
        raise ValueError(
            f"pixels in [{low:g}, {high:g}], expected [0, {limit}]; data.range gives "
            "another range"
        )
    if is_float:
        return np.rint(values * (255.0 if high <= 1 else 1.0)).astype(np.uint8)
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
