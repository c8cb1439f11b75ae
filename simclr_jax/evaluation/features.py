"""Features from a frozen module: BatchNorm by its running statistics, no randomness."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Float, UInt8

Embed = Callable[[jax.Array], jax.Array]
Augmentation = Callable[[jax.Array, jax.Array], jax.Array]


def freeze(
    module: nnx.Module, preprocess: Augmentation, *, layer: str = "__call__"
) -> Embed:
    """Returns a function from stored images to features that changes nothing.

    The module's running statistics are read and never updated, and no gradient can
    reach its parameters.

    Args:
      module: images [b h w c] in [0, 1] to features [b d].
      preprocess: the evaluation recipe, ``(key, image) -> image``; the key is unused.
      layer: the method of the module that is called, e.g. ``"embed"``.

    Returns:
      ``embed(images)``: uint8 [b h w c] to float32 [b d], compiled once per shape.
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
    preprocess: Augmentation,
    layer: str,
    arrays: nnx.State,
    images: jax.Array,
) -> jax.Array:
    module = nnx.merge(graphdef, arrays)
    pixels = images.astype(jnp.float32) / 255.0
    prepared = jax.vmap(functools.partial(preprocess, jax.random.key(0)))(pixels)
    features = getattr(module, layer)(prepared)
    return jax.lax.stop_gradient(features.astype(jnp.float32))


def extract(
    embed: Embed,
    images: UInt8[np.ndarray, "n h w c"],
    *,
    batch_size: int = 512,
    mesh: Mesh | None = None,
) -> Float[np.ndarray, "n d"]:
    """Computes the features of many images, a batch at a time.

    Args:
      embed: what ``freeze`` returns, or any function of uint8 images [b h w c].
      images: uint8, shape [n h w c].
      batch_size: images at a time; rounded up to a multiple of the devices.
      mesh: devices over whose axis ``data`` a batch is split; None: one device.

    Returns:
      Float32 features, shape [n d], in the order of the images.
    """
    sharding = None
    if mesh is not None:
        sharding = NamedSharding(mesh, PartitionSpec("data"))
        batch_size = -(-batch_size // mesh.shape["data"]) * mesh.shape["data"]
    batch_size = min(batch_size, -(-len(images) // 8) * 8)
    parts = []
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        missing = batch_size - len(batch)
        padded = np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0)))
        features = embed(jax.device_put(padded, sharding))
        parts.append(np.asarray(features)[: len(batch)])
    return np.concatenate(parts)


def count_parameters(module: nnx.Module) -> int:
    """Returns how many trainable numbers a module has."""
    leaves = jax.tree.leaves(nnx.state(module, nnx.Param))
    return sum(math.prod(leaf.shape) for leaf in leaves)
