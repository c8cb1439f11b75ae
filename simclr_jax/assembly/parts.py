"""From a config to its parts: encoder, method, augmentation, optimizer, batches."""

import dataclasses
import json
import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from simclr_jax import augment, data, encoders, methods, nn, optim
from simclr_jax.assembly.config import schema
from simclr_jax.core import errors, keys, types


@dataclasses.dataclass(frozen=True)
class Length:
    """How long a run is.

    Attributes:
      num_steps: updates in the run.
      steps_per_epoch: whole batches in an epoch.
      warmup_steps: updates while the learning rate rises.
    """

    num_steps: int
    steps_per_epoch: int
    warmup_steps: int


def compute_length(config: schema.Config, *, num_images: int) -> Length:
    """Returns the steps of a run; ``num_steps`` wins over ``epochs`` if both are set.

    The warm-up takes half of a run at most, however short the run is.

    Args:
      config: the config.
      num_images: images in the set.

    Returns:
      The length.
    """
    steps_per_epoch = max(num_images // config.batch_size, 1)
    num_steps = config.num_steps
    if num_steps is None:
        num_steps = max(math.ceil(config.epochs * steps_per_epoch), 1)
    warmup_steps = round(config.optimizer.warmup_epochs * steps_per_epoch)
    return Length(num_steps, steps_per_epoch, min(warmup_steps, num_steps // 2))


def open_images(
    config: schema.Config, *, source: str | None = None, split: str | None = None
) -> data.Dataset:
    """Opens images as a config decodes them, by default those that it trains on."""
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
    """Returns the images of an open source, decoded as a config says."""
    options = config.data
    return data.open_images(
        source,
        canvas=default_canvas(config) if options.canvas is None else options.canvas,
        num_channels=options.num_channels,
        on_bad_image=options.on_bad_image,
        # Fields that older checkpoints lack.
        value_range=options.get("range", "full"),
        page=options.get("page"),
        channels=options.get("channels"),
    )


def describe_source(config: schema.Config) -> dict[str, Any]:
    """Returns where the images come from and how they are read, as JSON values."""
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
    """Returns the side that images of many sizes are decoded to, in pixels.

    Nine sevenths of the side of a view, 288 for 224, up to the next multiple of 8.
    """
    if "augmentation" in config:
        height, width, _ = view_shape(build_augmentation(config), (64, 64, 3))
    else:  # of a method that was made in Python
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
      num_steps: batches in the run.
      mesh: the devices.
      fields: the fields of a batch.

    Returns:
      The batches.

    Raises:
      DataError: if the images lack one of them.
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
    """Returns the fields of the batch that the method of a config reads."""
    method: Any = methods.METHODS[config.method.name]
    return tuple(method.inputs)


def build_augmentation(config: schema.Config) -> augment.Recipe:
    """Builds what makes the views of training."""
    return augment.build(config.augmentation.name, **_options(config.augmentation))


def build_evaluation(config: schema.Config) -> augment.Augmentation:
    """Builds what every evaluator does to an image."""
    return augment.evaluation(**_options(config.evaluation))


def view_shape(
    recipe: augment.Recipe, image_shape: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Returns the shape (h, w, c) of the first view that a recipe makes of an image."""
    recipe = recipe[0] if isinstance(recipe, tuple) else recipe
    image = jax.ShapeDtypeStruct(image_shape, jnp.float32)
    height, width, channels = jax.eval_shape(recipe, jax.random.key(0), image).shape
    return height, width, channels


def build_encoder(
    config: schema.Config, *, image_shape: tuple[int, int, int], rngs: nnx.Rngs
) -> Any:
    """Builds the encoder for views of a shape."""
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
    length: Length,
    num_images: int,
    num_classes: int | None = None,
) -> methods.Method:
    """Builds the method for stored images of a shape; the seed decides its weights.

    Args:
      config: a recipe.
      image_shape: (h, w, c) of the stored images.
      length: the steps of the run.
      num_images: images in the set.
      num_classes: classes in the set; None: it has no labels.

    Returns:
      The method; what ``config.freeze`` matches is not trainable.

    Raises:
      UserError: if an option is wrong, or a pattern of ``freeze`` matches nothing.
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


@dataclasses.dataclass(frozen=True)
class MatchesPath:
    """A filter of variables whose path one of some regular expressions is found in."""

    patterns: tuple[str, ...]

    def __call__(self, path: tuple, value: Any) -> bool:
        """Returns whether one of the patterns is found in ``encoder/stem/...``."""
        del value
        name = "/".join(map(str, path))
        return any(re.search(pattern, name) for pattern in self.patterns)


def freeze(method: methods.Method, patterns: tuple[str, ...]) -> methods.Method:
    """Keeps parameters from the optimizer; returns the method.

    BatchNorms go on to see the batch, and their running statistics to move.

    Args:
      method: changed in place.
      patterns: regular expressions, searched in paths such as ``encoder/stem/...``.

    Raises:
      UserError: if a pattern matches no parameter, or none is left to train.
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


def build_schedule(
    config: schema.Config, length: Length
) -> tuple[optax.Schedule, float]:
    """Builds the learning rate by step; returns its peak too."""
    peak = optim.scale_learning_rate(
        config.optimizer.learning_rate,
        batch_size=config.batch_size,
        scaling=config.optimizer.learning_rate_scaling,
    )
    schedule = optim.warmup_cosine(
        peak, num_steps=length.num_steps, warmup_steps=length.warmup_steps
    )
    return schedule, peak


def build_optimizer(
    config: schema.Config, schedule: optax.Schedule, peak: float, params: Any
) -> optax.GradientTransformation:
    """Builds the optimizer for a tree of parameters."""
    return optim.build(
        config.optimizer.name,
        schedule,
        params=params,
        rules=optimizer_rules(config),
        peak=peak,
        **schema.options_of(
            config.optimizer, without=("name", *schema.SCHEDULE_FIELDS)
        ),
    )


def optimizer_rules(config: schema.Config) -> Any:
    """Returns the rules of the optimizer, as ``optim.resolve`` takes them."""
    return schema.options_of(config.optimizer)["rules"]


def root_key(config: schema.Config) -> types.PRNGKey:
    """Returns the key that all random numbers of the steps derive from."""
    return keys.stream(config.seed, "views")


def to_json(config: schema.Config) -> dict[str, Any]:
    """Returns a config as plain JSON values."""
    return json.loads(config.to_json())


def _options(part: schema.Config) -> dict[str, Any]:
    return schema.options_of(part)
