"""Building the parts of a config: images, batches, augmentation, encoder, method."""

import dataclasses
import json
import re
from typing import Any, final

import jax
import jax.numpy as jnp
from flax import nnx

from simclr_jax import augment, data, encoders, methods, nn
from simclr_jax.assembly import optimization
from simclr_jax.assembly.config import schema
from simclr_jax.core import errors, keys, types


def open_images(
    config: schema.Config, *, source: str | None = None, split: str | None = None
) -> data.Dataset:
    """Opens and decodes images as described by a config.

    Args:
      config: the config.
      source: name of the data, see ``data.open_source``; None: ``config.data.source``.
      split: part of the data; None: ``config.data.split``.

    Returns:
      The images.

    Raises:
      DataError: if the data are missing or cannot be read.

    Example:
      >>> from simclr_jax import assembly
      >>> config = assembly.load_config("mnist:smoke")
      >>> assembly.open_images(config).image_shape
      (28, 28, 1)
    """
    options = config.data
    opened = data.open_source(
        source or options.source,
        split=split or options.split,
        data_dir=options.data_dir,
        label=options.get("label"),
        value_range=options.get("range", "full"),
    )
    return decode(config, opened)


def decode(config: schema.Config, source: data.Source) -> data.Dataset:
    """Decodes the images of an open source as described by a config."""
    options = config.data
    return data.open_images(
        source,
        canvas=default_canvas(config) if options.canvas is None else options.canvas,
        num_channels=options.num_channels,
        on_bad_image=options.on_bad_image,
        # `get`: configs of older checkpoints lack these fields.
        value_range=options.get("range", "full"),
        page=options.get("page"),
        channels=options.get("channels"),
    )


def describe_source(config: schema.Config) -> dict[str, Any]:
    """Describes the source of the images and how they are read, as JSON values."""
    options = config.data
    channels = options.get("channels")
    return {
        "spec": options.source,
        "data_dir": options.data_dir,
        "label": options.get("label"),
        "range": options.get("range", "full"),
        "page": options.get("page"),
        "channels": list(channels) if channels else None,
    }


def default_canvas(config: schema.Config) -> int:
    """Returns the side of the padded images for images of many sizes, in pixels.

    It is 9/7 of the side of a view, rounded up to a multiple of 8: 288 for 224.
    """
    if "augmentation" in config:
        height, width, _ = view_shape(build_augmentation(config), (64, 64, 3))
    else:  # A method that was built in Python.
        height = width = config.evaluation.size
    return -(-9 * max(height, width) // 56) * 8


def build_batches(
    config: schema.Config,
    images: data.Dataset,
    *,
    num_steps: int,
    mesh: jax.sharding.Mesh,
    fields: tuple[str, ...],
) -> data.Batches:
    """Builds the batches of a run, with the fields that its method reads.

    Args:
      config: the config.
      images: the decoded images.
      num_steps: number of batches in the run.
      mesh: the devices.
      fields: names of the fields of a batch.

    Returns:
      The batches.

    Raises:
      DataError: if the images lack one of the fields.
    """
    num_workers = config.data.num_workers
    return data.Batches(
        images,
        data.BatchOrder(len(images), config.batch_size, num_steps, config.seed),
        mesh,
        resident_bytes=config.data.resident_bytes,
        num_workers=data.default_num_workers() if num_workers is None else num_workers,
        num_threads=config.data.num_threads,
        fields=fields,
    )


def method_inputs(config: schema.Config) -> tuple[str, ...]:
    """Returns the names of the batch fields that the method of a config reads."""
    method: Any = methods.METHODS[config.method.name]
    return tuple(method.inputs)


def build_augmentation(config: schema.Config) -> augment.Recipe:
    """Builds the augmentation of the training views, from ``config.augmentation``.

    Args:
      config: the config.

    Returns:
      The augmentation, or one per view.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import assembly
      >>> config = assembly.load_config("mnist")
      >>> augmentation = assembly.build_augmentation(config)
      >>> image = jnp.zeros((28, 28, 1))
      >>> jax.eval_shape(augmentation, jax.random.key(0), image).shape
      (24, 24, 1)
    """
    return augment.build(config.augmentation.name, **_options(config.augmentation))


def build_evaluation(config: schema.Config) -> augment.Augmentation:
    """Builds the preprocessing of images to embed, from ``config.evaluation``.

    Args:
      config: the config.

    Returns:
      A deterministic function ``(key, image) -> image``.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from simclr_jax import assembly
      >>> config = assembly.load_config("mnist")
      >>> preprocess = assembly.build_evaluation(config)
      >>> image = jnp.zeros((28, 28, 1))
      >>> jax.eval_shape(preprocess, jax.random.key(0), image).shape
      (24, 24, 1)
    """
    return augment.evaluation(**_options(config.evaluation))


def view_shape(
    recipe: augment.Recipe, image_shape: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Returns the shape (h, w, c) of the first view of an image of a given shape."""
    recipe = recipe[0] if isinstance(recipe, tuple) else recipe
    image = jax.ShapeDtypeStruct(image_shape, jnp.float32)
    height, width, channels = jax.eval_shape(recipe, jax.random.key(0), image).shape
    return height, width, channels


def build_encoder(
    config: schema.Config, *, image_shape: tuple[int, int, int], rngs: nnx.Rngs
) -> Any:
    """Builds the encoder of ``config.encoder``.

    Args:
      config: the config.
      image_shape: (h, w, c) of the views.
      rngs: source of the initial weights.

    Returns:
      The encoder.

    Example:
      >>> from flax import nnx
      >>> from simclr_jax import assembly
      >>> config = assembly.load_config("mnist")
      >>> encoder = assembly.build_encoder(
      ...     config, image_shape=(24, 24, 1), rngs=nnx.Rngs(0)
      ... )
      >>> encoder.feature_dim  # width of h
      2304
    """
    encoder = encoders.build(
        config.encoder.name,
        image_shape=image_shape,
        dtype=jnp.dtype(config.compute_dtype),
        rngs=rngs,
        **_options(config.encoder),
    )
    nn.set_remat(encoder, config.execution.remat)
    return encoder


def build_method(
    config: schema.Config,
    *,
    image_shape: tuple[int, int, int],
    length: optimization.Length,
    num_images: int,
    num_classes: int | None = None,
) -> methods.Method:
    """Builds the method of a config; ``config.seed`` determines its initial weights.

    Args:
      config: the config.
      image_shape: (h, w, c) of the stored images.
      length: length of the run.
      num_images: number of images in the data set.
      num_classes: number of classes in the data set; None: it has no labels.

    Returns:
      The method. Parameters that ``config.freeze`` matches are not trainable.

    Raises:
      UserError: if an option is invalid, or a pattern of ``freeze`` matches nothing.

    Example:
      >>> from simclr_jax import assembly
      >>> config = assembly.load_config("mnist")
      >>> length = assembly.compute_length(config, num_images=60_000)
      >>> method = assembly.build_method(
      ...     config, image_shape=(28, 28, 1), length=length, num_images=60_000
      ... )
      >>> type(method).__name__
      'SimCLR'
    """
    rngs = nnx.Rngs(keys.stream(config.seed, "init"))
    recipe = build_augmentation(config)
    shape = view_shape(recipe, image_shape)
    method = methods.METHODS.build(
        config.method.name,
        _options(config.method),
        build_encoder(config, image_shape=shape, rngs=rngs),
        augmentation=recipe,
        batch_size=config.batch_size,
        dtype=jnp.dtype(config.compute_dtype),
        num_classes=num_classes,
        num_images=num_images,
        num_steps=length.num_steps,
        rngs=rngs,
        steps_per_epoch=length.steps_per_epoch,
    )
    return freeze(method, tuple(config.freeze))


@final
@dataclasses.dataclass(frozen=True)
class MatchesPath:
    """Filter of the variables whose path matches one of several regular expressions.

    Attributes:
      patterns: regular expressions, searched in paths such as ``encoder/stem/kernel``.
    """

    patterns: tuple[str, ...]

    def __call__(self, path: tuple, value: Any) -> bool:
        """Returns whether one of the patterns matches the path of a variable."""
        del value
        name = "/".join(map(str, path))
        return any(re.search(pattern, name) for pattern in self.patterns)


def freeze(method: methods.Method, patterns: tuple[str, ...]) -> methods.Method:
    """Makes parameters of a method not trainable.

    BatchNorm layers still use the statistics of the batch and update their running
    statistics.

    Args:
      method: modified in place.
      patterns: regular expressions, searched in paths such as ``encoder/stem/kernel``.

    Returns:
      The method.

    Raises:
      UserError: if a pattern matches no parameter, or if no parameter remains
        trainable.
    """
    if not patterns:
        return method
    params = nnx.to_flat_state(nnx.state(method, method.trainable))
    names = ["/".join(map(str, path)) for path, _ in params]
    for pattern in patterns:
        if not any(re.search(pattern, name) for name in names):
            raise errors.UserError(
                f"config.freeze has {pattern!r}, which matches no parameter. Paths are "
                f"like {', '.join(map(repr, names[:3]))}."
            )
    method.trainable = nnx.All(method.trainable, nnx.Not(MatchesPath(patterns)))
    if not jax.tree.leaves(nnx.state(method, method.trainable)):
        raise errors.UserError("config.freeze leaves no parameter to train.")
    return method


def root_key(config: schema.Config) -> types.PRNGKey:
    """Returns the PRNG key from which all random numbers of the steps are derived.

    Args:
      config: the config; ``config.seed`` determines the key.

    Returns:
      A typed PRNG key.

    Example:
      >>> from simclr_jax import assembly
      >>> assembly.root_key(assembly.load_config("mnist")).shape
      ()
    """
    return keys.stream(config.seed, "views")


def to_json(config: schema.Config) -> dict[str, Any]:
    """Returns a config as plain JSON values."""
    return json.loads(config.to_json())


def _options(part: schema.Config) -> dict[str, Any]:
    return schema.options_of(part)
