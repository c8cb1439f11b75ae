"""Features from a frozen module: BatchNorm by its running statistics, no randomness."""

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Float, Int

from simclr_jax import augment, data
from simclr_jax.core import sharding, types

Embed = Callable[[jax.Array | types.PaddedImages], jax.Array]


def freeze(
    module: nnx.Module, preprocess: augment.Augmentation, *, layer: str = "__call__"
) -> Embed:
    """Returns a function from stored images to features that changes nothing.

    The module's running statistics are read and never updated, and no gradient can
    reach its parameters.

    Args:
      module: images [b h w c] in [0, 1] to features [b d].
      preprocess: the evaluation recipe, ``(key, image) -> image``; the key is unused.
      layer: the method of the module that is called, e.g. ``"embed"``.

    Returns:
      ``embed(images)``: uint8 [b h w c], or ``types.PaddedImages`` of such, to float32
      [b d], compiled once per shape.
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
    """Computes the features of a whole set, a batch at a time.

    Args:
      embed: what ``freeze`` returns, or any function of uint8 images [b h w c].
      images: the set; one that is not in memory is decoded as it is read.
      batch_size: images at a time; rounded up to a multiple of the devices.
      mesh: devices over whose axis ``data`` a batch is split; None: one device.
      num_workers: see ``data.iterate_batches``.

    Returns:
      Float32 features, shape [n d], and int32 labels, shape [n], in the order of the
      images; -1 where there is no label.
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


@dataclasses.dataclass(frozen=True)
class _InOrder:
    """Every image once, in order; the last batch is filled up from the start."""

    num_images: int
    batch_size: int

    def __len__(self) -> int:
        return -(-self.num_images // self.batch_size)

    def __getitem__(self, batch: int) -> np.ndarray:
        first = batch * self.batch_size
        return np.arange(first, first + self.batch_size) % self.num_images


def count_parameters(module: nnx.Module) -> int:
    """Returns how many trainable numbers a module has."""
    leaves = jax.tree.leaves(nnx.state(module, nnx.Param))
    return sum(math.prod(leaf.shape) for leaf in leaves)
