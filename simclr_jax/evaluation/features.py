"""Features of a frozen module: ``freeze`` makes the function, ``extract`` applies it.

Frozen means that BatchNorm uses its running statistics and that there is no randomness.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Float, Int

from simclr_jax import augment, data
from simclr_jax.core import sharding, types

Embed = Callable[[jax.Array | types.PaddedImages], jax.Array]
"""``embed(images)``: stored images [b h w c] to features [b d]."""


def freeze(
    module: nnx.Module, preprocess: augment.Augmentation, *, layer: str = "__call__"
) -> Embed:
    """Returns a function from stored images to the features of a frozen module.

    The running statistics of the module are used but not updated, and no gradient flows
    to its parameters.

    Args:
      module: images [b h w c] in [0, 1] to features [b d].
      preprocess: the preprocessing, ``(key, image) -> image``; the key is not used.
      layer: name of the method of the module to call, e.g. ``"embed"``.

    Returns:
      ``embed(images)``: from uint8 images [b h w c], or ``types.PaddedImages`` of them,
      to float32 [b d]. It is compiled once per shape.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from simclr_jax import evaluation
      >>> flatten = lambda images: images.reshape(len(images), -1)
      >>> module = nnx.Sequential(flatten, nnx.Linear(16, 3, rngs=nnx.Rngs(0)))
      >>> embed = evaluation.freeze(module, lambda key, image: image)
      >>> embed(jnp.zeros((2, 4, 4, 1), jnp.uint8)).shape
      (2, 3)
    """
    view = nnx.view(
        module,
        use_running_average=True,
        deterministic=True,
        raise_if_not_found=False,
    )
    graphdef, arrays = nnx.split(view)
    return functools.partial(_embed, graphdef, preprocess, layer, arrays)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _embed(
    graphdef: nnx.GraphDef,
    preprocess: augment.Augmentation,
    layer: str,
    arrays: nnx.State,
    images: jax.Array | types.PaddedImages,
) -> jax.Array:
    module = nnx.merge(graphdef, arrays)
    view = jax.vmap(functools.partial(preprocess, jax.random.key(0)))
    prepared = view(augment.as_float(images))
    features = getattr(module, layer)(prepared)
    return jax.lax.stop_gradient(features.astype(jnp.float32))


def extract(
    embed: Embed,
    images: data.Dataset,
    *,
    batch_size: int = 512,
    mesh: Mesh | None = None,
    num_workers: int = 0,
) -> tuple[Float[np.ndarray, "n d"], Int[np.ndarray, " n"]]:
    """Computes the features of all images of a data set, in batches.

    Args:
      embed: the function that ``freeze`` returns, or any function of uint8 images
        [b h w c].
      images: the data set; if it is not in memory, images are decoded as they are read.
      batch_size: number of images in a batch; rounded up to a multiple of the number of
        devices.
      mesh: batches are sharded over its axis ``data``; None: a single device.
      num_workers: number of processes that decode, see ``data.iterate_batches``.

    Returns:
      Float32 features [n d], and int32 labels [n] (-1: no label), in the order of the
      images.

    Example:
      >>> import numpy as np
      >>> from simclr_jax import data, evaluation
      >>> images = data.ArraySource(
      ...     name="three images",
      ...     images=np.zeros((3, 4, 4, 1), np.uint8),
      ...     labels=np.array([0, 1, -1], np.int32),
      ...     num_classes=2,
      ... )
      >>> mean = lambda batch: batch.mean(axis=(1, 2))
      >>> features, labels = evaluation.extract(mean, images)
      >>> features.shape, labels.tolist()
      ((3, 1), [0, 1, -1])
    """
    placement = None
    batch_size = min(batch_size, -(-len(images) // 8) * 8)
    if mesh is not None:
        placement = sharding.split(mesh)
        num_devices = mesh.shape[types.DATA_AXIS]
        batch_size = -(-batch_size // num_devices) * num_devices
    features, labels = [], []
    rows = _InOrder(len(images), batch_size)
    for samples in data.iterate_batches(images, rows, num_workers=num_workers):
        batch = data.to_devices(samples, is_padded=images.is_padded, sharding=placement)
        features.append(np.asarray(embed(batch)))
        labels.append(samples["labels"])
    count = len(images)
    return np.concatenate(features)[:count], np.concatenate(labels)[:count]


@final
@dataclasses.dataclass(frozen=True)
class _InOrder:
    """Order of every image once; the last batch is completed by the first images."""

    num_images: int
    batch_size: int

    def __len__(self) -> int:
        return -(-self.num_images // self.batch_size)

    def __getitem__(self, batch: int) -> np.ndarray:
        first = batch * self.batch_size
        return np.arange(first, first + self.batch_size) % self.num_images


def count_parameters(module: nnx.Module) -> int:
    """Counts the parameters of a module.

    Args:
      module: the module.

    Returns:
      The total size of its ``nnx.Param`` variables.

    Example:
      >>> from flax import nnx
      >>> from simclr_jax import evaluation
      >>> evaluation.count_parameters(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
      9
    """
    leaves = jax.tree.leaves(nnx.state(module, nnx.Param))
    return sum(math.prod(leaf.shape) for leaf in leaves)
